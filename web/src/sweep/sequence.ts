// The colour of a row by its value: five steps, the strongest for what the sort puts first.
import { numeric } from "./values";

export const STEPS = 5;

export interface Colouring {
  /** Of what the colours are; null if there is nothing to colour by. */
  readonly title: string | null;
  readonly least: number;
  readonly most: number;
  /** Whether the smallest value is the strongest. */
  readonly isSmallStrong: boolean;
  /** 1 to 5; 0 for a row without a value. */
  step(value: unknown): number;
}

/** The colours of these values. */
export function colouring(
  title: string | null,
  values: readonly unknown[],
  isSmallStrong: boolean,
): Colouring {
  const numbers = values
    .map(numeric)
    .filter((value): value is number => value !== undefined && Number.isFinite(value));
  const least = numbers.reduce((one, other) => Math.min(one, other), Infinity);
  const most = numbers.reduce((one, other) => Math.max(one, other), -Infinity);
  const isLog = least > 0 && most / least >= 100;
  const share = (value: number) =>
    most > least
      ? isLog
        ? Math.log(value / least) / Math.log(most / least)
        : (value - least) / (most - least)
      : 1;
  return {
    title: numbers.length ? title : null,
    least,
    most,
    isSmallStrong,
    step: (value) => {
      const number = numeric(value);
      if (number === undefined || !Number.isFinite(number) || !numbers.length) return 0;
      const along = isSmallStrong && most > least ? 1 - share(number) : share(number);
      return Math.min(STEPS, 1 + Math.floor(Math.min(1, Math.max(0, along)) * STEPS));
    },
  };
}
