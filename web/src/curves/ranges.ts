// The range of an axis over what is drawn.

export interface Span {
  readonly least: number;
  readonly largest: number;
}

/** The share of a curve's beginning that a range leaves out if it alone would double it. */
const BEGINNING = 0.02;

export interface Extent {
  readonly span: Span | null;
  /** How many points at the beginnings are beyond the range. */
  readonly outside: number;
  /** How many points a logarithmic axis cannot show. */
  readonly notPositive: number;
}

export interface Drawn {
  readonly x: Float64Array;
  /** What bounds the line at each point. */
  readonly low: Float64Array;
  readonly high: Float64Array;
}

/**
 * The range of y over some lines.
 *
 * @param isLog whether only positive numbers count
 * @param isWhole whether no beginning is left out
 */
export function extentOf(
  lines: readonly Drawn[],
  { isLog, isWhole, window }: { isLog: boolean; isWhole: boolean; window: Span | null },
): Extent {
  let all: Span | null = null;
  let rest: Span | null = null;
  let notPositive = 0;
  for (const { x, low, high } of lines) {
    const beginning = Math.max(1, Math.ceil(x.length * BEGINNING));
    for (let index = 0; index < x.length; index += 1) {
      const at = x[index] as number;
      if (window && (at < window.least || at > window.largest)) continue;
      let least = low[index] as number;
      const largest = high[index] as number;
      if (!Number.isFinite(largest)) continue;
      if (isLog && !(least > 0)) {
        notPositive += 1;
        if (!(largest > 0)) continue;
        least = largest;
      }
      if (!Number.isFinite(least)) continue;
      all = joined(all, least, largest);
      if (index >= beginning) rest = joined(rest, least, largest);
    }
  }
  const size = (span: Span) =>
    isLog ? Math.log10(span.largest) - Math.log10(span.least) : span.largest - span.least;
  if (isWhole || window || !all || !rest || !(size(rest) > 0) || size(all) <= 2 * size(rest)) {
    return { span: all, outside: 0, notPositive };
  }
  const kept = rest;
  let outside = 0;
  for (const { x, low, high } of lines) {
    const beginning = Math.max(1, Math.ceil(x.length * BEGINNING));
    for (let index = 0; index < Math.min(beginning, x.length); index += 1) {
      if ((high[index] as number) > kept.largest || (low[index] as number) < kept.least) outside += 1;
    }
  }
  return { span: kept, outside, notPositive };
}

function joined(span: Span | null, least: number, largest: number): Span {
  return span
    ? { least: Math.min(span.least, least), largest: Math.max(span.largest, largest) }
    : { least, largest };
}

/** A range with some room around what is drawn; a single value gets a range of its own size. */
export function padded(span: Span | null, isLog: boolean): Span {
  if (!span) return isLog ? { least: 0.1, largest: 10 } : { least: 0, largest: 1 };
  const { least, largest } = span;
  if (isLog) {
    const ratio = largest / least;
    const room = ratio > 1 ? ratio ** 0.04 : 2;
    return { least: least / room, largest: largest * room };
  }
  const size = largest - least;
  const room = size > 0 ? size * 0.05 : Math.abs(largest) * 0.1 || 0.5;
  const isAboveZero = least >= 0 && least - room < 0;
  return { least: isAboveZero ? 0 : least - room, largest: largest + room };
}

/** The range of x over some lines. */
export function widthOf(lines: readonly { readonly x: Float64Array }[], isLog: boolean): Span | null {
  let span: Span | null = null;
  for (const { x } of lines) {
    for (const value of x) {
      if (Number.isFinite(value) && (!isLog || value > 0)) span = joined(span, value, value);
    }
  }
  return span;
}
