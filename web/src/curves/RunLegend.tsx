import { labelText } from "../ui/shownTexts";
import type { Stroke } from "./colours";
import { strokeOf } from "./colours";
import type { ChartLines } from "./lines";
import type { Axis, Run } from "./model";
import { type Differences, paramText } from "./params";
import { Segments } from "./Segments";
import { Swatch } from "./Swatch";
import type { LookState } from "./state";
import { shortValue } from "./ticks";
import { position, valuesAt } from "./words";
import "./RunLegend.css";

export interface RunLegendProps {
  readonly runs: readonly Run[];
  readonly strokes: ReadonlyMap<string, Stroke>;
  readonly drawn: ReadonlySet<string>;
  readonly params: Differences;
  readonly short: ReadonlyMap<string, string>;
  readonly look: LookState;
  readonly axis: Axis;
  /** The chart whose values are shown, unless the cursor is in another one. */
  readonly first: string | null;
  chartOf(key: string): ChartLines | undefined;
  readonly colour: string | null;
  /** Runs that are one row, because their mean is drawn; null for a row each. */
  readonly groups: readonly (readonly Run[])[] | null;
  /** The params over which a mean can be drawn. */
  readonly joins: readonly string[];
  readonly join: string | null;
  readonly band: "range" | "deviation";
  onDraw(drawn: ReadonlySet<string>): void;
  onColour(param: string | null): void;
  onJoin(param: string | null, band: "range" | "deviation"): void;
}

const MOST_PARAMS = 4;
const MOST_ROWS = 300;

interface Row {
  readonly run: Run;
  readonly value: number | null;
  readonly note: string;
  readonly low: number | null;
}

/** What distinguishes the runs, and their values at the cursor. */
export function RunLegend(props: RunLegendProps) {
  const { runs, drawn, params, look } = props;
  const cursor = look.cursor.value;
  const lifted = look.lifted.value;
  const key = cursor?.key ?? props.first;
  const chart = key === null ? undefined : props.chartOf(key);
  const members = new Map((props.groups ?? []).flatMap((group) => (group[0] ? [[group[0].id, group]] : [])));
  const listed = props.groups ? runs.filter((run) => members.has(run.id)) : runs;
  const rows = rowsOf(listed, drawn, chart, cursor?.x ?? null);
  const shown = params.differing.filter((name) => name !== props.join).slice(0, MOST_PARAMS);
  const isNamed =
    shown.length === 0 ||
    listed.length !==
      new Set(runs.map((run) => shown.map((name) => paramText(run.params[name])).join("\n"))).size;
  const toggle = (run: Run) => {
    const changed = new Set(drawn);
    for (const { id } of members.get(run.id) ?? [run]) {
      if (drawn.has(run.id)) changed.delete(id);
      else changed.add(id);
    }
    props.onDraw(changed);
  };
  const name = key?.slice(key.lastIndexOf("/") + 1) ?? "";
  return (
    <section class="run-legend" aria-label="Runs">
      <header>
        <h2>
          {drawn.size} of {runs.length} {runs.length === 1 ? "run" : "runs"}
        </h2>
        <span class="run-legend-all">
          <button type="button" onClick={() => props.onDraw(new Set(runs.map((run) => run.id)))}>
            All
          </button>
          <button type="button" onClick={() => props.onDraw(new Set())}>
            None
          </button>
        </span>
      </header>
      <div class="run-legend-rows">
        <table>
          <thead>
            <tr>
              <th>
                <span class="visually-hidden">Line</span>
              </th>
              {isNamed ? <th class="name">run</th> : null}
              {shown.map((param) => (
                <th key={param} class="number" title={param}>
                  <bdi>{props.short.get(param)}</bdi>
                </th>
              ))}
              <th class="number" aria-sort="ascending">
                <bdi>{name}</bdi> {cursor ? `at ${position(props.axis, cursor.x)}` : "at the end"} ↑
              </th>
              <th>
                <span class="visually-hidden">Note</span>
              </th>
            </tr>
          </thead>
          <tbody>
            {rows.slice(0, MOST_ROWS).map(({ run, value, note }, index) => {
              const isDrawn = drawn.has(run.id);
              return (
                <tr
                  key={run.id}
                  class={`${isDrawn ? "" : "off"}${lifted === run.id ? " lifted" : ""}`}
                  onPointerEnter={() => {
                    look.lifted.value = isDrawn ? run.id : null;
                  }}
                  onPointerLeave={() => {
                    look.lifted.value = null;
                  }}
                >
                  <td>
                    <button
                      type="button"
                      class="run-legend-line"
                      role="switch"
                      aria-checked={isDrawn}
                      aria-label={labelOf(run, shown)}
                      title={run.prefix}
                      tabIndex={index === 0 ? 0 : -1}
                      onClick={() => toggle(run)}
                      onFocus={() => {
                        look.lifted.value = isDrawn ? run.id : null;
                      }}
                      onBlur={() => {
                        look.lifted.value = null;
                      }}
                      onKeyDown={moveFocus}
                    >
                      <Swatch stroke={props.strokes.get(run.id) ?? strokeOf(run.number)} />
                    </button>
                  </td>
                  {isNamed ? (
                    <td class="name" title={run.prefix}>
                      <bdi>{run.id}</bdi>
                    </td>
                  ) : null}
                  {shown.map((param) => (
                    <td key={param} class="number param" title={paramText(run.params[param])}>
                      <bdi>{labelText(paramText(run.params[param]), 240)}</bdi>
                    </td>
                  ))}
                  <td class="number value" title={value === null ? undefined : String(value)}>
                    {isDrawn ? (value === null ? "" : shortValue(value)) : "off"}
                  </td>
                  <td class="note">
                    {members.has(run.id)
                      ? `${members.get(run.id)?.length} runs`
                      : Number.isNaN(value)
                        ? ""
                        : note}
                  </td>
                </tr>
              );
            })}
          </tbody>
        </table>
        {rows.length > MOST_ROWS ? <p>{rows.length - MOST_ROWS} more runs are not listed.</p> : null}
      </div>
      <Same same={params.same} />
      {shown.length ? (
        <Segments
          label="Colour by"
          isSmall
          options={[
            { value: "", text: "run" },
            ...shown.map((param) => ({ value: param, text: props.short.get(param) ?? param, title: param })),
          ]}
          value={props.colour ?? ""}
          onPick={(value) => props.onColour(value || null)}
        />
      ) : null}
      {props.joins.length ? (
        <Join
          joins={props.joins}
          short={props.short}
          value={props.join}
          onPick={(param) => props.onJoin(param, props.band)}
        />
      ) : null}
      {props.join ? (
        <>
          <Segments
            label="Band"
            isSmall
            options={[
              { value: "range", text: "min to max" },
              { value: "deviation", text: "± sd" },
            ]}
            value={props.band}
            onPick={(band) => props.onJoin(props.join, band)}
          />
          <p class="run-legend-said">
            Each line is the mean of runs that differ in <bdi>{props.join}</bdi> alone; the band is{" "}
            {props.band === "range"
              ? "from their least to their largest value."
              : "one standard deviation to each side."}
          </p>
        </>
      ) : null}
    </section>
  );
}

/** Over which param the mean is drawn: over seeds, if a param is called so. */
function Join({
  joins,
  short,
  value,
  onPick,
}: {
  joins: readonly string[];
  short: ReadonlyMap<string, string>;
  value: string | null;
  onPick(param: string | null): void;
}) {
  const options = joins.map((param) => ({
    value: param,
    text: `mean over ${/seed/i.test(param) ? "seeds" : (short.get(param) ?? param)}`,
    title: param,
  }));
  if (options.length === 1) {
    return (
      <Segments
        label="Join"
        isSmall
        options={[{ value: "", text: "none" }, ...options]}
        value={value ?? ""}
        onPick={(param) => onPick(param || null)}
      />
    );
  }
  return (
    <label class="run-legend-join">
      Join
      <select value={value ?? ""} onChange={(event) => onPick(event.currentTarget.value || null)}>
        <option value="">none</option>
        {options.map((option) => (
          <option key={option.value} value={option.value}>
            {option.text}
          </option>
        ))}
      </select>
    </label>
  );
}

function Same({ same }: { same: Differences["same"] }) {
  if (!same.length) return null;
  const few = same.slice(0, 6).map(([name, value]) => labelText(`${name}=${paramText(value)}`, 100));
  return (
    <p class="run-legend-same">
      Same in all, not shown: <span class="mono">{few.join(", ")}</span>
      {same.length > few.length ? ` and ${same.length - few.length} more` : ""}
    </p>
  );
}

function labelOf(run: Run, params: readonly string[]): string {
  const values = params.map((param) => `${param} ${paramText(run.params[param])}`);
  return [run.id, ...values].join(", ");
}

/** Arrow keys move between the lines of the legend: it is one stop of Tab. */
function moveFocus(event: KeyboardEvent) {
  const buttons = [...((event.currentTarget as Element).closest("tbody")?.querySelectorAll("button") ?? [])];
  const at = buttons.indexOf(event.currentTarget as HTMLButtonElement);
  const next = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: buttons.length - 1 }[event.key];
  if (next === undefined) return;
  event.preventDefault();
  buttons[next]?.focus();
}

/** The rows by their value at the cursor: numbers, then runs without one, then those that are not drawn. */
function rowsOf(
  runs: readonly Run[],
  drawn: ReadonlySet<string>,
  chart: ChartLines | undefined,
  x: number | null,
): Row[] {
  const rows = new Map<string, Row>();
  for (const line of chart?.lines ?? []) {
    if (line.attempt !== null) continue;
    const last = line.y.length - 1;
    const found = x === null ? undefined : valuesAt({ ...(chart as ChartLines), lines: [line] }, x)[0];
    const value = x === null ? (line.y[last] as number) : (found?.shown ?? null);
    const gap = line.gaps.find((each) => each.isFinal);
    for (const id of line.runs) {
      const run = runs.find((each) => each.id === id);
      if (run) rows.set(id, { run, value: last < 0 ? null : value, note: gap?.word ?? "", low: null });
    }
  }
  const place = ({ run, value }: Row) => {
    if (!drawn.has(run.id)) return 3;
    return value === null ? 2 : Number.isFinite(value) ? 0 : 1;
  };
  return runs
    .map((run) => rows.get(run.id) ?? { run, value: null, note: "", low: null })
    .sort((left, right) => {
      const order = place(left) - place(right);
      if (order || place(left)) return order || left.run.number - right.run.number;
      return (left.value ?? 0) - (right.value ?? 0) || left.run.number - right.run.number;
    });
}
