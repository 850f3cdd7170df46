import { useMemo } from "preact/hooks";
import { type Scale, scaleOf } from "../sweep/scales";
import { textOf } from "../sweep/values";
import { visibleText } from "../ui/visibleText";
import { TrialMark } from "./marks";
import { about, type Point, type Study } from "./study";

export interface ValuePlotProps {
  readonly study: Study;
  readonly points: readonly Point[];
  /** The place of a point on the axis below. */
  readonly at: (point: Point) => unknown;
  /** What is below: a param, or the numbers of the trials. */
  readonly title: string;
  readonly metric: string;
  readonly isParam: boolean;
  /** Whether its axis is logarithmic; by default as suits the values. */
  readonly log?: boolean | undefined;
  readonly winners: ReadonlySet<number>;
  readonly width: number;
  readonly height: number;
  /** Steps of the best value; the last one continues to the end of the axis. */
  readonly line?: readonly { readonly number: number; readonly value: number }[];
  readonly lifted: string | null;
  onLift(task: string | null): void;
  readonly label: string;
}

const LEFT = 56;
const RIGHT = 14;
const TOP = 10;
const BOTTOM = 36;
const INSET = 10;

/** The values of trials over a param, or over their numbers. */
export function ValuePlot(props: ValuePlotProps) {
  const { study, points, width, height, title, isParam } = props;
  const across = width - LEFT - RIGHT - 2 * INSET;
  const down = height - TOP - BOTTOM;
  const scales = useMemo(
    () => ({
      x: scaleOf(points.map(props.at), {
        log: props.log,
        isParam,
        isRound: true,
        gap: 44 / Math.max(1, across),
      }),
      y: scaleOf(
        points.map((point) => point.value),
        { isRound: true, gap: 20 / down },
      ),
    }),
    [points, title, props.log, across, down],
  );
  const toX = (place: number) => LEFT + INSET + place * across;
  const toY = (place: number) => TOP + (1 - place) * down;
  const placed = points.flatMap((point) => {
    const [x, y] = [scales.x.place(props.at(point)), scales.y.place(point.value)];
    return x === null || y === null ? [] : [{ point, x: toX(x), y: toY(y) }];
  });
  const isBest = (point: Point) => props.winners.has(point.trial.number);
  const ordered = placed.sort((one, other) => Number(isBest(one.point)) - Number(isBest(other.point)));
  const lifted = placed.find(({ point }) => point.trial.task === props.lifted);
  return (
    <figure class="value-plot">
      <svg width={width} height={height} role="img" aria-label={props.label}>
        {scales.y.ticks.map((tick) => (
          <g key={tick.at}>
            <line class="value-grid" x1={LEFT} x2={width - RIGHT} y1={toY(tick.at)} y2={toY(tick.at)} />
            <text x={LEFT - 8} y={toY(tick.at) + 4} text-anchor="end">
              {short(tick.label)}
            </text>
          </g>
        ))}
        {scales.x.ticks.map((tick) => (
          <g key={tick.at}>
            <line
              class="value-grid"
              x1={toX(tick.at)}
              x2={toX(tick.at)}
              y1={TOP + down}
              y2={TOP + down + 4}
            />
            <text x={toX(tick.at)} y={TOP + down + 18} text-anchor="middle">
              {short(tick.label)}
            </text>
          </g>
        ))}
        <text class="value-title" x={width - RIGHT} y={height - 4} text-anchor="end">
          {visibleText(title)}
          {scales.x.kind === "log" ? ", log" : ""}
        </text>
        {props.line?.length ? <path class="value-best" d={stepsOf(props.line, scales, toX, toY)} /> : null}
        {ordered.map(({ point, x, y }) => (
          <g
            key={point.trial.number}
            onPointerEnter={() => props.onLift(point.trial.task)}
            onPointerLeave={() => props.onLift(null)}
          >
            <TrialMark phase={point.phase} x={x} y={y} isBest={isBest(point)} />
            <title>{visibleText(about(study, point.trial, textOf))}</title>
          </g>
        ))}
        {lifted ? <circle class="value-ring" cx={lifted.x} cy={lifted.y} r="9" /> : null}
      </svg>
    </figure>
  );
}

function stepsOf(
  line: readonly { readonly number: number; readonly value: number }[],
  scales: { readonly x: Scale; readonly y: Scale },
  toX: (place: number) => number,
  toY: (place: number) => number,
): string {
  let path = "";
  for (const { number, value } of line) {
    const [x, y] = [scales.x.place(number) ?? 0, scales.y.place(value) ?? 0];
    path += path ? `H${toX(x)}V${toY(y)}` : `M${toX(x)} ${toY(y)}`;
  }
  return `${path}H${toX(1)}`;
}

function short(label: string): string {
  const text = visibleText(label);
  return text.length > 10 ? `${text.slice(0, 4)}…${text.slice(-5)}` : text;
}
