import { expect, test } from "vitest";
import { dayOf } from "./days";

test("days are those of the reader's calendar", () => {
  const now = new Date(2026, 10, 30, 0, 30);
  const at = (...date: [number, number, number, number]) => dayOf(new Date(...date).toISOString(), now);
  expect(at(2026, 10, 30, 0)).toBe("Today");
  expect(at(2026, 10, 29, 23)).toBe("Yesterday");
  expect(at(2026, 10, 26, 12)).toBe("Thursday");
  expect(at(2026, 10, 23, 12)).toBe("23 November");
  expect(at(2025, 10, 23, 12)).toBe("23 November 2025");
  expect(at(2026, 11, 1, 12)).toBe("Today"); // of a clock that is ahead
});
