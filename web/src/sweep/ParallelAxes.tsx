// biome-ignore-all lint/a11y/useSemanticElements: a drawing is no fieldset
import { useMemo, useRef, useState } from "preact/hooks";
import { MenuButton } from "../ui/MenuButton";
import { type Brush, brushBetween, extent } from "./brushes";
import type { Column } from "./columns";
import { nearest, type Point, pathThrough } from "./curves";
import type { Row } from "./rows";
import type { Scale } from "./scales";
import type { Colouring } from "./sequence";
import { useWidth } from "./useWidth";
import { FUNCTIONS, type MetricFunction, rounded } from "./values";
import "./ParallelAxes.css";

export interface Axis {
  readonly column: Column;
  readonly scale: Scale;
}

export interface ParallelProps {
  /** All rows; those that are not in `kept` are drawn faint. */
  readonly rows: readonly Row[];
  readonly kept: ReadonlySet<string>;
  readonly axes: readonly Axis[];
  readonly colours: Colouring;
  readonly colourOf: (row: Row) => unknown;
  readonly lifted: string | null;
  readonly brushes: ReadonlyMap<string, Brush>;
  /** How many rows are kept, as text. */
  readonly summary: string;
  /** Whether metrics are means of groups, which have no other function. */
  readonly isGrouped: boolean;
  readonly height?: number;
  onLift(id: string | null): void;
  onPick(id: string): void;
  /** A brush while it is drawn, and at its end, when `isDone`. */
  onBrush(column: Column, brush: Brush | null, isDone: boolean): void;
  onMove(from: number, to: number): void;
  onFunction(column: Column, fn: MetricFunction): void;
  onScale(column: Column, change: { log?: boolean; isReversed?: boolean }): void;
  onSort(column: Column): void;
  onHide(column: Column): void;
}

const HEAD = 52; // pixels above the axes
const FOOT = 10;
const NONE = 26; // pixels below an axis to the place of rows without a value
const CLOSEST = 116; // pixels between two axes
const MARGIN = 104; // pixels before the first axis
const NEAR = 14; // pixels from a curve
const EDGE = 6; // pixels from the edge of a brush
const STEPS = 20; // of an axis, by which the keys move a brush

/** The rows as curves over axes, of which parts can be kept. */
export function ParallelAxes(props: ParallelProps) {
  const { axes, rows, kept, height = 176 } = props;
  const { element, width } = useWidth<HTMLDivElement>();
  const [moving, setMoving] = useState<{ index: number; by: number } | null>(null);
  const margin = Math.min(MARGIN, width / 5);
  const inner = Math.max(width, 2 * margin + (axes.length - 1) * CLOSEST);
  const step = axes.length > 1 ? (inner - 2 * margin) / (axes.length - 1) : 0;
  const xOf = (index: number) => (axes.length > 1 ? margin + index * step : inner / 2);
  const xs = axes.map((_, index) => xOf(index));
  const hasNone = rows.some((row) =>
    axes.some(({ column, scale }) => scale.place(row.value(column)) === null),
  );
  const yOf = (at: number | null) => HEAD + (at === null ? height + NONE : (1 - at) * height);
  const curves = useMemo(
    () =>
      rows.map((row) =>
        axes.map(
          ({ column, scale }, index): Point => ({ x: xOf(index), y: yOf(scale.place(row.value(column))) }),
        ),
      ),
    [rows, axes, inner, height],
  );
  const paths = useMemo(() => curves.map(pathThrough), [curves]);
  const layers = useMemo(() => {
    const left: string[] = [];
    const byStep: string[][] = [[], [], [], [], [], []];
    for (const [index, row] of rows.entries()) {
      const path = paths[index] ?? "";
      if (kept.has(row.id)) byStep[props.colours.step(props.colourOf(row))]?.push(path);
      else left.push(path);
    }
    return { left: left.join(""), byStep: byStep.map((each) => each.join("")) };
  }, [rows, paths, kept, props.colours]);
  const lifted = rows.findIndex((row) => row.id === props.lifted);
  const at = (event: PointerEvent) => {
    const box = (event.currentTarget as Element).getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  };
  const below = (event: PointerEvent) => {
    const point = at(event);
    const isKept = (index: number) => kept.has(rows[index]?.id ?? "");
    const found = nearest(curves, point, NEAR, isKept) ?? nearest(curves, point, NEAR / 2);
    return found === null ? null : (rows[found]?.id ?? null);
  };
  const total = HEAD + height + FOOT + (hasNone ? NONE : 0);
  return (
    <div class={`parallel-axes ${inner > width ? "is-wide" : ""}`} ref={element}>
      <div class="parallel-plot" style={{ width: `${inner}px`, height: `${total}px` }}>
        {/* biome-ignore lint/a11y/useKeyWithClickEvents: the table takes the keys of rows */}
        <svg
          width={inner}
          height={total}
          aria-label={`Parallel axes: ${props.summary}`}
          role="group"
          onPointerMove={(event) => props.onLift(event.buttons ? null : below(event))}
          onPointerLeave={() => props.onLift(null)}
          onClick={(event) => {
            const found =
              event.target === event.currentTarget ? below(event as unknown as PointerEvent) : null;
            if (found) props.onPick(found);
          }}
        >
          <g class="parallel-curves">
            <path class="is-left-out" d={layers.left} />
            {layers.byStep.map((path, index) => (
              <path key={index} class={`step-${index}`} d={path} />
            ))}
            {lifted >= 0 ? (
              <>
                <path class="is-rim" d={paths[lifted]} />
                <path class="is-lifted" d={paths[lifted]} />
              </>
            ) : null}
          </g>
          {axes.map((axis, index) => (
            <AxisLine
              key={axis.column.key}
              {...props}
              axis={axis}
              index={index}
              x={(xs[index] ?? 0) + (moving?.index === index ? moving.by : 0)}
              top={HEAD}
              height={height}
              hasNone={hasNone}
            />
          ))}
          <g class="parallel-curves">
            {(curves[lifted] ?? []).map((point) => (
              <circle key={point.x} cx={point.x} cy={point.y} r="4.5" />
            ))}
          </g>
        </svg>
        {axes.map((axis, index) => (
          <AxisHead
            key={axis.column.key}
            {...props}
            axis={axis}
            index={index}
            x={xs[index] ?? 0}
            width={Math.max(CLOSEST, step)}
            by={moving?.index === index ? moving.by : null}
            onDrag={(by, isDone) => {
              setMoving(isDone ? null : { index, by });
              const to = Math.min(axes.length - 1, Math.max(0, Math.round(index + by / (step || 1))));
              if (isDone && to !== index) props.onMove(index, to);
            }}
          />
        ))}
      </div>
    </div>
  );
}

interface LineProps extends ParallelProps {
  readonly axis: Axis;
  readonly index: number;
  readonly x: number;
  readonly top: number;
  readonly height: number;
  readonly hasNone: boolean;
}

/** An axis with its labels and its brush; the arrows move the lower edge, with Shift the upper one. */
function AxisLine(props: LineProps) {
  const { axis, x, top, height, index } = props;
  const { column, scale } = axis;
  const brush = props.brushes.get(column.key);
  const range = brush ? extent(brush, scale) : null;
  const begun = useRef<{ one: number; other: number; grab: number; isMoved: boolean } | null>(null);
  const yOf = (at: number) => top + (1 - at) * height;
  const placeOf = (event: PointerEvent) => {
    const svg = (event.currentTarget as SVGElement).ownerSVGElement;
    const y = event.clientY - (svg?.getBoundingClientRect().top ?? 0);
    return Math.min(1, Math.max(0, 1 - (y - top) / height));
  };
  const begin = (event: PointerEvent) => {
    if (event.button) return;
    (event.currentTarget as Element).setPointerCapture(event.pointerId);
    const at = placeOf(event);
    const near = EDGE / height;
    if (range && Math.abs(range[0] - at) < near)
      begun.current = { one: range[1], other: at, grab: 0, isMoved: false };
    else if (range && Math.abs(range[1] - at) < near) {
      begun.current = { one: range[0], other: at, grab: 0, isMoved: false };
    } else if (range && at > range[0] && at < range[1]) {
      begun.current = { one: range[0], other: range[1], grab: at, isMoved: false };
    } else begun.current = { one: at, other: at, grab: 0, isMoved: false };
  };
  const drag = (event: PointerEvent, isDone: boolean) => {
    const from = begun.current;
    if (!from) return;
    const at = placeOf(event);
    if (from.grab) {
      const by = Math.min(
        1 - Math.max(from.one, from.other),
        Math.max(-Math.min(from.one, from.other), at - from.grab),
      );
      if (Math.abs(at - from.grab) * height > 2) from.isMoved = true;
      if (from.isMoved) props.onBrush(column, brushBetween(scale, from.one + by, from.other + by), isDone);
    } else {
      if (Math.abs(at - from.other) * height > 2) from.isMoved = true;
      if (from.isMoved) props.onBrush(column, brushBetween(scale, from.one, at), isDone);
    }
    if (!isDone) return;
    begun.current = null;
    if (!from.isMoved) props.onBrush(column, null, true);
  };
  const press = (event: KeyboardEvent) => {
    const [low, high] = range ?? [0, 1];
    if (event.key === "ArrowUp" || event.key === "ArrowDown") {
      const places = [...new Set(placesOf(scale))].sort((one, other) => one - other);
      const by = event.key === "ArrowUp" ? 1 : -1;
      const edge = moved(event.shiftKey ? high : low, by, places);
      const bounds: [number, number] = event.shiftKey
        ? [low, Math.max(low, edge)]
        : [Math.min(high, edge), high];
      props.onBrush(column, brushBetween(scale, ...bounds), true);
    } else if (event.key === "Delete" || event.key === "Backspace") props.onBrush(column, null, true);
    else if (event.key === "ArrowLeft" || event.key === "ArrowRight") {
      const next = index + (event.key === "ArrowRight" ? 1 : -1);
      if (event.shiftKey) {
        if (next >= 0 && next < props.axes.length) props.onMove(index, next);
      } else focusAxis(event.currentTarget as Element, next);
    } else return;
    event.preventDefault();
  };
  const isLast = index === props.axes.length - 1 && index > 0;
  const side = isLast ? 1 : -1;
  const bounds = brush ? boundsText(brush) : [];
  return (
    // biome-ignore lint/a11y/noInteractiveElementToNoninteractiveRole: an axis of a drawing, which takes keys
    <g
      class="parallel-axis"
      role="group"
      tabIndex={index === 0 ? 0 : -1}
      aria-label={`${column.key}, ${scale.kind}${bounds.length ? `, keeps ${bounds.join(" and ")}` : ""}: ${props.summary}`}
      aria-roledescription="axis"
      onKeyDown={press}
    >
      <line class="axis-line" x1={x} x2={x} y1={top} y2={top + height} />
      {props.hasNone ? (
        <>
          <line class="axis-none" x1={x} x2={x} y1={top + height} y2={top + height + NONE} />
          {index === 0 ? (
            <text x={x - 10} y={top + height + NONE + 4} text-anchor="end">
              no value
            </text>
          ) : null}
        </>
      ) : null}
      {scale.ticks.map((tick) => (
        <line key={tick.at} class="axis-line" x1={x - 3} x2={x + 3} y1={yOf(tick.at)} y2={yOf(tick.at)} />
      ))}
      {scale.ticks.map((tick) => (
        <text
          key={tick.at}
          x={x + side * 10}
          y={yOf(tick.at) + 4}
          text-anchor={isLast ? "start" : "end"}
          opacity={range && bounds.length && isClose(tick.at, range, height) ? 0 : 1}
        >
          {shortened(tick.label)}
        </text>
      ))}
      {range ? (
        <rect
          class="axis-brush"
          x={x - 8}
          width={16}
          y={yOf(range[1]) - 3}
          height={(range[1] - range[0]) * height + 6}
          rx={3}
        />
      ) : null}
      {range
        ? bounds.map((text, each) => (
            <text
              key={text}
              class="axis-bound"
              x={x + side * 13}
              y={
                yOf(
                  bounds.length > 1
                    ? (range[each] ?? 0)
                    : text.startsWith("≥") !== scale.isReversed
                      ? range[0]
                      : range[1],
                ) + 4
              }
              text-anchor={isLast ? "start" : "end"}
            >
              {shortened(text)}
            </text>
          ))
        : null}
      <rect
        class="axis-hit"
        x={x - 14}
        width={28}
        y={top - 6}
        height={height + 12}
        onPointerDown={begin}
        onPointerMove={(event) => drag(event, false)}
        onPointerUp={(event) => drag(event, true)}
        onPointerCancel={() => {
          begun.current = null;
        }}
      >
        <title>{`Drag along ${column.key} to keep a part of it`}</title>
      </rect>
      <rect class="axis-focus" x={x - 12} width={24} y={top - 8} height={height + 16} rx={4} />
    </g>
  );
}

/** The places of an axis at which a key stops. */
function placesOf(scale: Scale): number[] {
  if (scale.kind === "category") {
    return scale.categories.map((_, at) => at / Math.max(1, scale.categories.length - 1));
  }
  if (scale.numbers.length <= STEPS) return scale.numbers.map((number) => scale.place(number) ?? 0);
  return Array.from({ length: STEPS + 1 }, (_, at) => at / STEPS);
}

function moved(edge: number, by: 1 | -1, places: readonly number[]): number {
  const slack = 1e-9;
  const found =
    by > 0 ? places.find((at) => at > edge + slack) : [...places].reverse().find((at) => at < edge - slack);
  return found ?? edge;
}

function focusAxis(from: Element, index: number): void {
  const all = from.parentElement?.querySelectorAll<SVGGElement>(".parallel-axis");
  all?.[index]?.focus();
}

function isClose(at: number, range: readonly [number, number], height: number): boolean {
  return range.some((edge) => Math.abs(edge - at) * height < 14);
}

function boundsText(brush: Brush): string[] {
  if (brush.kind === "categories") return [];
  return [
    ...(brush.from === null ? [] : [`≥ ${rounded(brush.from, 6)}`]),
    ...(brush.to === null ? [] : [`≤ ${rounded(brush.to, 6)}`]),
  ];
}

const LONGEST = 16;

function shortened(text: string): string {
  return text.length > LONGEST ? `${text.slice(0, 7)}…${text.slice(-8)}` : text;
}

interface HeadProps extends ParallelProps {
  readonly axis: Axis;
  readonly index: number;
  readonly x: number;
  readonly width: number;
  readonly by: number | null;
  onDrag(by: number, isDone: boolean): void;
}

/** The name of an axis, which moves it, and below what it shows. */
function AxisHead(props: HeadProps) {
  const { axis, index, by } = props;
  const { column, scale } = axis;
  const begun = useRef<number | null>(null);
  const isDragged = useRef(false);
  const words = [
    ...(column.kind === "param" ? ["param"] : []),
    ...(scale.kind === "log" ? ["log"] : []),
    ...(scale.isReversed ? ["small on top"] : []),
  ].join(", ");
  return (
    <div
      class={`axis-head ${by === null ? "" : "is-moving"}`}
      style={{ left: `${props.x + (by ?? 0)}px`, maxWidth: `${props.width}px` }}
    >
      <button
        type="button"
        class="axis-name"
        title={`${column.name}\nDrag to move this axis; press to sort by it`}
        onPointerDown={(event) => {
          if (event.button) return;
          event.currentTarget.setPointerCapture(event.pointerId);
          begun.current = event.clientX;
          isDragged.current = false;
        }}
        onPointerMove={(event) => {
          if (begun.current === null) return;
          const moved = event.clientX - begun.current;
          if (Math.abs(moved) > 4) isDragged.current = true;
          if (isDragged.current) props.onDrag(moved, false);
        }}
        onPointerUp={(event) => {
          if (begun.current !== null && isDragged.current) props.onDrag(event.clientX - begun.current, true);
          begun.current = null;
        }}
        onPointerCancel={() => {
          begun.current = null;
          props.onDrag(0, true);
        }}
        onClick={() => {
          if (!isDragged.current) props.onSort(column);
          isDragged.current = false;
        }}
        onKeyDown={(event) => {
          const next = event.key === "ArrowLeft" ? index - 1 : event.key === "ArrowRight" ? index + 1 : -1;
          if (next < 0 || next >= props.axes.length) return;
          event.preventDefault();
          props.onMove(index, next);
        }}
      >
        <bdi>{column.name}</bdi>
      </button>
      <div class="axis-words">
        {column.kind === "metric" && !props.isGrouped ? (
          <select
            aria-label={`Value of ${column.name}`}
            title="last, min, max or mean of its curve"
            value={column.fn ?? "last"}
            onChange={(event) => props.onFunction(column, event.currentTarget.value as MetricFunction)}
          >
            {FUNCTIONS.map((fn) => (
              <option key={fn} value={fn}>
                {fn}
              </option>
            ))}
          </select>
        ) : column.kind === "metric" ? (
          `mean of ${column.fn}`
        ) : null}
        <MenuButton
          class="axis-menu"
          name={`Axis ${column.key}`}
          side={index > 1 && index === props.axes.length - 1 ? "end" : "start"}
          label={words || "⋯"}
        >
          <button
            type="button"
            aria-pressed={scale.kind === "log"}
            disabled={!scale.canLog}
            onClick={() => props.onScale(column, { log: scale.kind !== "log" })}
          >
            log
          </button>
          <button
            type="button"
            aria-pressed={scale.isReversed}
            onClick={() => props.onScale(column, { isReversed: !scale.isReversed })}
          >
            small on top
          </button>
          <button
            type="button"
            aria-pressed={false}
            disabled={index === 0}
            onClick={() => props.onMove(index, index - 1)}
          >
            move to the left
          </button>
          <button
            type="button"
            aria-pressed={false}
            disabled={index === props.axes.length - 1}
            onClick={() => props.onMove(index, index + 1)}
          >
            move to the right
          </button>
          <button type="button" aria-pressed={false} onClick={() => props.onHide(column)}>
            hide
          </button>
        </MenuButton>
      </div>
    </div>
  );
}
