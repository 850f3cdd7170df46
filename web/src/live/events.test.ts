import { expect, test } from "vitest";
import { EventReader } from "./events";

const STREAM =
  ': alive\n\nevent: open\ndata: {"stream":"s"}\n\nid: {"records":"1"}\nevent: change\ndata: {"topic":"records"}\n\n';

test("however an answer is cut, its events are the same", () => {
  const whole = new EventReader().read(STREAM);
  expect(whole).toEqual([
    { kind: "open", data: '{"stream":"s"}', id: null },
    { kind: "change", data: '{"topic":"records"}', id: '{"records":"1"}' },
  ]);
  for (const size of [1, 2, 3, 7, 50]) {
    const reader = new EventReader();
    const events = [];
    for (let at = 0; at < STREAM.length; at += size) events.push(...reader.read(STREAM.slice(at, at + size)));
    expect(events).toEqual(whole);
  }
});

test("an event that is not complete is none", () => {
  expect(new EventReader().read("event: change\ndata: {}\n")).toEqual([]);
});
