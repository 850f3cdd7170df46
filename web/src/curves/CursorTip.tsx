import { useLayoutEffect, useRef } from "preact/hooks";
import type { ChartLines, Line } from "./lines";
import type { Axis, PointTimes } from "./model";
import { Swatch } from "./Swatch";
import { scaled } from "./scales";
import type { LookState } from "./state";
import { shortValue } from "./ticks";
import { usePointTime } from "./usePointTime";
import { axisName, longPosition, position, type ValueAt, valuesAt } from "./words";

/** How the tip and the tables name a line. */
export interface TipColumns {
  /** The short names of the params that differ. */
  readonly names: readonly string[];
  /** Their values for a line. */
  valuesOf(line: Line): readonly string[];
  /** The line in a few words. */
  nameOf(line: Line): string;
  /** When its points were logged; absent where the axis says it, or nothing does. */
  timesOf?(key: string, line: Line, signal: AbortSignal): Promise<PointTimes>;
}

export interface CursorTipProps {
  readonly title: string;
  readonly chart: ChartLines;
  readonly axis: Axis;
  readonly isXLog: boolean;
  readonly isLog: boolean;
  readonly look: LookState;
  readonly columns: TipColumns;
}

const MOST = 4;
const MARGIN = 14;
const TOP = 4;
const ROOM = 6; // around the tip

/** What the lines nearest to the lifted one have at the cursor. It never covers the lifted line. */
export function CursorTip(props: CursorTipProps) {
  const { title, chart, axis, look, columns } = props;
  const tip = useRef<HTMLDivElement>(null);
  const cursor = look.cursor.value;
  const lifted = look.lifted.value;
  const isHere = cursor?.key === title;
  useLayoutEffect(() => {
    if (isHere && cursor && tip.current) place(tip.current, props, cursor.x, lifted);
  });
  const all = isHere && cursor ? valuesAt(chart, cursor.x).filter(({ shown }) => Number.isFinite(shown)) : [];
  const near = nearestOf(all, lifted);
  const named = near.find(({ line }) => line.id === lifted) ?? (near.length === 1 ? near[0] : undefined);
  const time = usePointTime(columns, title, named?.line ?? null, cursor?.x ?? 0);
  if (!isHere || !cursor) return null;
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
        {time === null ? null : <span>{longPosition("time", time)}</span>}
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

interface Box {
  readonly left: number;
  readonly top: number;
  readonly right: number;
  readonly bottom: number;
}

/** Beside the cursor, at the top rather than at the bottom, where the lifted line is not. */
function place(tip: HTMLElement, { chart, isXLog, isLog }: CursorTipProps, x: number, lifted: string | null) {
  const over = tip.parentElement?.querySelector<HTMLElement>(".u-over");
  if (!over) return;
  const { clientWidth: width, clientHeight: height } = over;
  const across = scaled(chart.x, isXLog, width);
  const down = scaled(chart.y, isLog, height);
  const line = chart.lines.find((each) => each.id === lifted);
  const places = [...(line?.x ?? [])].map(
    (at, index) => [across(at), height - down(line?.y[index] as number)] as const,
  );
  const right = Math.min(across(x) + MARGIN, width - tip.offsetWidth);
  const left = Math.max(across(x) - MARGIN - tip.offsetWidth, -over.offsetLeft);
  const bottom = height - tip.offsetHeight - TOP;
  const isHalf = across(x) > width / 2;
  const sides = isHalf ? [left, right] : [right, left];
  const corners = [TOP, bottom].flatMap((top) => sides.map((side) => ({ left: side, top })));
  const boxes = corners.map((corner) => ({
    ...corner,
    right: corner.left + tip.offsetWidth,
    bottom: corner.top + tip.offsetHeight,
  }));
  const hidden = boxes.map((box) => places.filter((point) => isIn(box, point)).length);
  const best = boxes[hidden.indexOf(Math.min(...hidden))] as Box;
  tip.style.left = `${over.offsetLeft + best.left}px`;
  tip.style.top = `${over.offsetTop + best.top}px`;
}

function isIn(box: Box, [x, y]: readonly [number, number]): boolean {
  return x >= box.left - ROOM && x <= box.right + ROOM && y >= box.top - ROOM && y <= box.bottom + ROOM;
}
