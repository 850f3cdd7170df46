import { useLayoutEffect, useRef } from "preact/hooks";
import type { ChartLines, Line } from "./lines";
import type { Axis } from "./model";
import { Swatch } from "./Swatch";
import type { LookState } from "./state";
import { shortValue } from "./ticks";
import { axisName, longPosition, position, type ValueAt, valuesAt } from "./words";

/** How the tip and the tables name a line. */
export interface TipColumns {
  /** The short names of the params that differ. */
  readonly names: readonly string[];
  /** Their values for a line. */
  valuesOf(line: Line): readonly string[];
  /** The line in a few words. */
  nameOf(line: Line): string;
}

const MOST = 4;
const MARGIN = 14;

/** What the lines nearest to the lifted one have at the cursor. It never covers the lifted line. */
export function CursorTip({
  title,
  chart,
  axis,
  look,
  columns,
}: {
  title: string;
  chart: ChartLines;
  axis: Axis;
  look: LookState;
  columns: TipColumns;
}) {
  const tip = useRef<HTMLDivElement>(null);
  const cursor = look.cursor.value;
  const lifted = look.lifted.value;
  const isHere = cursor?.key === title;
  useLayoutEffect(() => {
    if (isHere && cursor && tip.current) place(tip.current, chart, cursor.x, lifted);
  });
  if (!isHere || !cursor) return null;
  const all = valuesAt(chart, cursor.x).filter(({ shown }) => Number.isFinite(shown));
  const near = nearestOf(all, lifted);
  const isSmoothed = near.some(({ line }) => line.raw);
  const isMean = near.some(({ line }) => line.band);
  const names = columns.names.slice(0, 4);
  return (
    <div class="cursor-tip" ref={tip} role="presentation">
      <p class="cursor-tip-head">
        <b>
          {axisName(axis, chart.isNumbered)} {position(axis, cursor.x)}
        </b>
        {axis === "time" ? <span>{longPosition(axis, cursor.x)}</span> : null}
      </p>
      <table>
        <thead>
          <tr>
            <th />
            {names.length ? names.map((name) => <th key={name}>{name}</th>) : <th>run</th>}
            <th class="number">{isMean ? "mean" : isSmoothed ? "smoothed" : "value"}</th>
            {isSmoothed ? <th class="number">raw</th> : null}
            {isMean ? <th class="number">low to high</th> : null}
          </tr>
        </thead>
        <tbody>
          {near.map(({ line, shown, raw, index }) => (
            <tr key={line.id} class={line.id === lifted ? "lifted" : undefined}>
              <td>
                <Swatch stroke={line.stroke} />
              </td>
              {names.length ? (
                columns
                  .valuesOf(line)
                  .slice(0, 4)
                  .map((value, place) => (
                    <td key={names[place]} class="param">
                      <bdi>{value}</bdi>
                    </td>
                  ))
              ) : (
                <td class="param">
                  <bdi>{columns.nameOf(line)}</bdi>
                </td>
              )}
              <td class="number value" title={String(shown)}>
                {shortValue(shown)}
              </td>
              {isSmoothed ? (
                <td class="number raw" title={String(raw)}>
                  {shortValue(raw)}
                </td>
              ) : null}
              {isMean && line.band ? (
                <td class="number raw">
                  {shortValue(line.band.low[index] as number)} to{" "}
                  {shortValue(line.band.high[index] as number)}
                </td>
              ) : null}
            </tr>
          ))}
        </tbody>
      </table>
      {all.length > near.length ? (
        <p class="cursor-tip-foot">
          the nearest {near.length} of {all.length}; all are in the legend
        </p>
      ) : null}
    </div>
  );
}

/** The lifted line and those with the nearest values, by value. */
function nearestOf(all: readonly ValueAt[], lifted: string | null): readonly ValueAt[] {
  const centre = all.find(({ line }) => line.id === lifted);
  const sorted = [...all].sort((left, right) => left.shown - right.shown);
  if (!centre) return sorted.slice(0, MOST);
  const near = [...all]
    .sort((left, right) => Math.abs(left.shown - centre.shown) - Math.abs(right.shown - centre.shown))
    .slice(0, MOST);
  return near.sort((left, right) => left.shown - right.shown);
}

/** At the top, beside the cursor, away from the pointer; at the bottom if the lifted line is there. */
function place(tip: HTMLElement, chart: ChartLines, x: number, lifted: string | null) {
  const over = tip.parentElement?.querySelector<HTMLElement>(".u-over");
  if (!over) return;
  const { offsetLeft, offsetTop, clientWidth, clientHeight } = over;
  const cursor = over.querySelector<HTMLElement>(".curve-chart-cursor");
  const match = /translateX\((-?[\d.]+)px\)/.exec(cursor?.style.transform ?? "");
  const at = match ? Number(match[1]) : clientWidth / 2;
  const isRight = at + MARGIN + tip.offsetWidth <= clientWidth || at < clientWidth / 2;
  const left = isRight ? at + MARGIN : at - MARGIN - tip.offsetWidth;
  const kept = Math.max(-offsetLeft, Math.min(clientWidth - tip.offsetWidth, left));
  const line = chart.lines.find((each) => each.id === lifted);
  const isCovered = line
    ? isAbove(
        line,
        chart,
        kept / clientWidth,
        (kept + tip.offsetWidth) / clientWidth,
        tip.offsetHeight / clientHeight,
      )
    : false;
  void x;
  tip.style.left = `${offsetLeft + kept}px`;
  tip.style.top = `${offsetTop + (isCovered ? clientHeight - tip.offsetHeight - 8 : 4)}px`;
}

/** Whether a line has a point in the top part of the chart, between two shares of its width. */
function isAbove(line: Line, { x, y }: ChartLines, from: number, to: number, part: number): boolean {
  const width = x.largest - x.least;
  const limit = y.largest - (y.largest - y.least) * part;
  return line.x.some((value, index) => {
    const share = (value - x.least) / width;
    return share >= from && share <= to && (line.y[index] as number) >= limit;
  });
}
