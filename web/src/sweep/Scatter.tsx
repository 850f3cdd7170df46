// biome-ignore-all lint/a11y/noStaticElementInteractions: the list of points takes the keys
import { useMemo, useState } from "preact/hooks";
import { navigate } from "../app/route";
import type { Column } from "./columns";
import type { Row } from "./rows";
import { scaleOf } from "./scales";
import type { Colouring } from "./sequence";
import { useWidth } from "./useWidth";
import { identityOf, textOf } from "./values";
import "./Scatter.css";

export interface ScatterProps {
  readonly rows: readonly Row[];
  readonly kept: ReadonlySet<string>;
  readonly x: Column;
  readonly y: Column;
  /** The categories are shapes; null for circles only. */
  readonly shape: Column | null;
  readonly colours: Colouring;
  readonly colourOf: (row: Row) => unknown;
  readonly lifted: string | null;
  readonly picked: string | null;
  onLift(id: string | null): void;
  onPick(id: string): void;
}

const HEIGHT = 316;
const LEFT = 60;
const RIGHT = 24;
const TOP = 14;
const BOTTOM = 40;
const SIZE = 5;
/** Triangle, square, circle, diamond, and what is left. */
const SHAPES = [
  `M0 ${-SIZE}L${SIZE} ${SIZE * 0.8}H${-SIZE}z`,
  `M${-SIZE * 0.85} ${-SIZE * 0.85}h${SIZE * 1.7}v${SIZE * 1.7}h${-SIZE * 1.7}z`,
  `M${-SIZE} 0a${SIZE} ${SIZE} 0 1 0 ${SIZE * 2} 0a${SIZE} ${SIZE} 0 1 0 ${-SIZE * 2} 0z`,
  `M0 ${-SIZE * 1.2}L${SIZE * 1.2} 0L0 ${SIZE * 1.2}L${-SIZE * 1.2} 0z`,
  `M${-SIZE} ${-SIZE * 0.3}h${SIZE * 0.7}v${-SIZE * 0.7}h${SIZE * 0.6}v${SIZE * 0.7}h${SIZE * 0.7}v${SIZE * 0.6}h${-SIZE * 0.7}v${SIZE * 0.7}h${-SIZE * 0.6}v${-SIZE * 0.7}h${-SIZE * 0.7}z`,
] as const;
const CIRCLE = 2;
const OTHERS = 4;
/** The most categories that have a shape of their own. */
export const MOST_SHAPES = 4;

interface Placed {
  readonly row: Row;
  readonly x: number;
  readonly y: number;
  readonly shape: number;
}

/** Points of the rows by two columns. */
export function Scatter(props: ScatterProps) {
  const { rows, x, y, shape } = props;
  const { element, width } = useWidth<HTMLDivElement>(480);
  const [focused, setFocused] = useState<number | null>(null);
  const across = width - LEFT - RIGHT;
  const down = HEIGHT - TOP - BOTTOM;
  const scales = useMemo(
    () => ({
      x: scaleOf(
        rows.map((row) => row.value(x)),
        { isParam: x.kind === "param", isRound: true, gap: 40 / Math.max(1, across) },
      ),
      y: scaleOf(
        rows.map((row) => row.value(y)),
        { isParam: y.kind === "param", isRound: true, gap: 18 / down },
      ),
      shapes: shape ? scaleOf(rows.map((row) => identityOf(row.value(shape)))).categories : [],
    }),
    [rows, x, y, shape, across],
  );
  const inset = scales.x.kind === "category" || x.kind === "param" ? 14 : 0;
  const toX = (at: number) => LEFT + inset + at * (across - 2 * inset);
  const toY = (at: number) => TOP + (1 - at) * down;
  const categories = useMemo(() => (shape ? categoriesOf(rows, shape) : []), [rows, shape]);
  const placed = useMemo(() => {
    const points: Placed[] = [];
    for (const row of rows) {
      const [atX, atY] = [scales.x.place(row.value(x)), scales.y.place(row.value(y))];
      if (atX === null || atY === null) continue;
      const category = shape ? categories.findIndex(({ id }) => id === identityOf(row.value(shape))) : CIRCLE;
      points.push({
        row,
        x: toX(atX),
        y: toY(atY),
        shape: category < 0 ? OTHERS : Math.min(category, OTHERS),
      });
    }
    const rank = (point: Placed) => (props.kept.has(point.row.id) ? 1 : 0);
    return points.sort((one, other) => rank(one) - rank(other) || one.x - other.x || other.y - one.y);
  }, [rows, scales, x, y, shape, categories, across, props.kept]);
  const kept = placed.filter((point) => props.kept.has(point.row.id));
  const at = focused === null ? null : (kept[Math.min(focused, kept.length - 1)] ?? null);
  const lifted = placed.find((point) => point.row.id === props.lifted) ?? null;
  const press = (event: KeyboardEvent) => {
    const by = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    let to = focused ?? 0;
    if (by) to = Math.min(kept.length - 1, Math.max(0, to + by));
    else if (event.key === "Home") to = 0;
    else if (event.key === "End") to = kept.length - 1;
    else if (event.key === "Enter" && at?.row.href) return navigate(at.row.href);
    else if (event.key === " " && at) props.onPick(at.row.id);
    else return;
    event.preventDefault();
    setFocused(to);
    props.onLift(kept[to]?.row.id ?? null);
  };
  const without = rows.length - placed.length;
  return (
    <div class="scatter" ref={element}>
      <div
        role="listbox"
        tabIndex={0}
        aria-label={`${y.key} by ${x.key}: ${kept.length} points. The arrows move from point to point, Enter opens, Space picks.`}
        aria-activedescendant={at ? `point-${Math.min(focused ?? 0, kept.length - 1)}` : undefined}
        onKeyDown={press}
        onFocus={(event) => {
          if (!event.currentTarget.matches(":focus-visible")) return;
          setFocused(focused ?? 0);
          props.onLift(kept[focused ?? 0]?.row.id ?? null);
        }}
        onBlur={() => props.onLift(null)}
        onPointerLeave={() => props.onLift(null)}
      >
        <svg width={width} height={HEIGHT} role="presentation">
          <g>
            {scales.y.ticks.map((tick) => (
              <g key={tick.at}>
                <line class="scatter-grid" x1={LEFT} x2={width - RIGHT} y1={toY(tick.at)} y2={toY(tick.at)} />
                <text x={LEFT - 8} y={toY(tick.at) + 4} text-anchor="end">
                  {short(tick.label)}
                </text>
              </g>
            ))}
            {scales.x.ticks.map((tick) => (
              <g key={tick.at}>
                <line
                  class="scatter-grid"
                  x1={toX(tick.at)}
                  x2={toX(tick.at)}
                  y1={TOP + down}
                  y2={TOP + down + 5}
                />
                <text x={toX(tick.at)} y={HEIGHT - BOTTOM + 19} text-anchor="middle">
                  {short(tick.label)}
                </text>
              </g>
            ))}
            <text class="scatter-title" x={width - RIGHT} y={HEIGHT - 4} text-anchor="end">
              {long(x.key, scales.x.kind)}
            </text>
          </g>
          {placed.map((point) => {
            const spread = point.row.spread(y);
            if (!spread?.std || spread.mean === undefined || y.kind !== "metric") return null;
            const [low, high] = [
              scales.y.place(spread.mean - spread.std),
              scales.y.place(spread.mean + spread.std),
            ];
            return (
              <line
                key={`${point.row.id}±`}
                class="scatter-whisker"
                x1={point.x}
                x2={point.x}
                y1={clamp(toY(low ?? 0), down)}
                y2={clamp(toY(high ?? 1), down)}
              />
            );
          })}
          {placed.map((point, order) => {
            const index = order - (placed.length - kept.length);
            const isKept = index >= 0;
            const name = `${point.row.label}: ${x.key} ${textOf(point.row.value(x))}, ${y.key} ${textOf(point.row.value(y))}`;
            return (
              <path
                key={point.row.id}
                id={isKept ? `point-${index}` : undefined}
                class={`scatter-point ${isKept ? `step-${props.colours.step(props.colourOf(point.row))}` : "is-left-out"} ${point === lifted ? "is-lifted" : ""}`}
                d={SHAPES[point.shape]}
                transform={`translate(${point.x} ${point.y})`}
                {...(isKept
                  ? { role: "option", "aria-selected": point.row.id === props.picked, "aria-label": name }
                  : {})}
                onPointerEnter={() => props.onLift(point.row.id)}
                onClick={() => props.onPick(point.row.id)}
              >
                <title>{name}</title>
              </path>
            );
          })}
          {lifted ? (
            <>
              <path
                class="scatter-point is-lifted"
                d={SHAPES[lifted.shape]}
                transform={`translate(${lifted.x} ${lifted.y})`}
                pointer-events="none"
              />
              <circle class="scatter-ring" cx={lifted.x} cy={lifted.y} r="10" />
            </>
          ) : null}
        </svg>
      </div>
      {shape && categories.length > 1 ? (
        <p class="scatter-legend">
          <bdi>{shape.name}</bdi>
          {categories.slice(0, MOST_SHAPES).map(({ id, label }, index) => (
            <Key key={id} shape={index} label={label} />
          ))}
          {categories.length > MOST_SHAPES ? <Key shape={OTHERS} label="others" /> : null}
        </p>
      ) : null}
      <p class="scatter-note">
        {without ? `${without} of ${rows.length} not drawn: no value on one of the axes. ` : ""}
        {scales.y.kind === "log" ? `${y.key} is on a logarithmic axis. ` : ""}
        {y.kind === "metric" && rows.some((row) => row.spread(y)?.std)
          ? "The lines are ± one standard deviation."
          : ""}
      </p>
    </div>
  );
}

/** The values of a column, the smallest first, with how they are written. */
export function categoriesOf(rows: readonly Row[], column: Column): { id: string; label: string }[] {
  const values = rows.map((row) => row.value(column));
  const byId = new Map(values.map((value) => [identityOf(value), value]));
  const numbers = [...byId.values()].every((value) => typeof value === "number");
  return [...byId]
    .sort(([one, a], [other, b]) => (numbers ? Number(a) - Number(b) : one < other ? -1 : 1))
    .map(([id, value]) => ({ id, label: value === undefined ? "no value" : short(textOf(value) || id) }));
}

function Key({ shape, label }: { shape: number; label: string }) {
  return (
    <span>
      <svg viewBox="-7 -7 14 14" width="12" height="12" aria-hidden="true">
        <path d={SHAPES[shape]} />
      </svg>
      <bdi>{label}</bdi>
    </span>
  );
}

function clamp(y: number, down: number): number {
  return Math.min(TOP + down, Math.max(TOP, y));
}

function short(text: string): string {
  return text.length > 14 ? `${text.slice(0, 6)}…${text.slice(-7)}` : text;
}

function long(key: string, kind: string): string {
  return kind === "log" ? `${key}, log` : key;
}
