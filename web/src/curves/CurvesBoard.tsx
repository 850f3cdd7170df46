import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { useKeys } from "../app/keys";
import { EmptyState } from "../ui/EmptyState";
import { ErrorNote } from "../ui/ErrorNote";
import { ChartPanel } from "./ChartPanel";
import type { TipColumns } from "./CursorTip";
import { CurvesToolbar } from "./CurvesToolbar";
import { MOST_HUES, type Stroke, strokeOf, strokes } from "./colours";
import { paletteOf } from "./drawing";
import { csvOf, type Exported, pngOf, save, svgOf } from "./exports";
import { groupsOf, hasHeadings, isOpenAtFirst, type MetricGroup } from "./groups";
import { type ChartLines, linesOf } from "./lines";
import type { Axis, Catalogue, CurvesSource, Run } from "./model";
import { differences, grouped, paramText, seedsOf, shortNames } from "./params";
import { RunLegend } from "./RunLegend";
import type { Span } from "./ranges";
import { type CurveSettings, isShown, isWanted, toggled, withRuns } from "./settings";
import { lookState } from "./state";
import { useCatalogue, useCurves, windowOf } from "./useCurves";
import { axisName, sampling } from "./words";
import "./CurvesBoard.css";

export interface CurvesBoardProps {
  readonly source: CurvesSource;
  readonly settings: CurveSettings;
  /** `isPassing`: one of many changes of a movement, to which Back need not return. */
  onSettings(settings: CurveSettings, isPassing: boolean): void;
}

/** The curves of some runs: a toolbar, the legend, and a chart for each metric. */
export function CurvesBoard(props: CurvesBoardProps) {
  const { catalogue, error, reload } = useCatalogue(props.source);
  if (!catalogue) {
    return error ? (
      <ErrorNote error={error} retry={reload} />
    ) : (
      <p class="curves-reading" role="status">
        Reading the metrics. The first time takes a while if there are millions of rows.
      </p>
    );
  }
  if (!catalogue.runs.length) {
    return (
      <EmptyState>
        <p>
          Nothing was logged yet. In the program: <code>Experiment().metrics("train").log(loss=…)</code>
        </p>
        {catalogue.problems.map((problem) => (
          <p key={problem}>{problem}</p>
        ))}
      </EmptyState>
    );
  }
  return <Board {...props} catalogue={catalogue} />;
}

const LEAD = 3; // with so few charts, the first one has a row of its own
const AXIS_ORDER: readonly Axis[] = ["step", "epoch"];

/** Fewer points a run, the more runs there are. */
function pointsFor(runs: number): number {
  return runs <= 12 ? 1000 : runs <= 40 ? 500 : 250;
}

function Board({ source, settings, onSettings, catalogue }: CurvesBoardProps & { catalogue: Catalogue }) {
  const board = useRef<HTMLDivElement>(null);
  const width = useWidth(board);
  const look = useMemo(lookState, []);
  const { metrics } = catalogue;
  const known = new Set(metrics.map(({ key }) => key));
  const wanted = metrics.filter(({ key }) =>
    settings.full === null ? isWanted(key, settings.keys, known) : key === settings.full,
  );
  const wantedKeys = JSON.stringify(wanted.map(({ key }) => key));
  const runs = useMemo(() => {
    const keys: string[] = JSON.parse(wantedKeys);
    return catalogue.runs.filter((run) => keys.some((key) => run.metrics.has(key)));
  }, [catalogue, wantedKeys]);
  const params = useMemo(() => differences(runs), [runs]);
  const short = useMemo(() => shortNames(params.differing), [params]);
  const drawn = new Set(runs.filter((run) => isShown(settings, run.id)).map((run) => run.id));
  const drawnRuns = runs.filter((run) => drawn.has(run.id));
  const colour =
    settings.colour ??
    (runs.length > MOST_HUES && drawn.size > MOST_HUES ? firstNumber(runs, params.differing) : null);
  const join = settings.join;
  const groupsOfRuns = useMemo(() => {
    if (join === null) return null;
    return grouped(runs, /seed/i.test(join) ? [join, ...seedsOf(params.differing)] : [join]);
  }, [runs, params, join]);
  const strokeByRun = groupsOfRuns
    ? strokesOfGroups(groupsOfRuns, strokes(runs, drawn, settings.colour), settings.colour)
    : strokes(runs, drawn, colour);
  const groups = groupsOf(wanted);
  const isOpen = (index: number) =>
    settings.full !== null ||
    !hasHeadings(groups) ||
    isOpenAtFirst(groups, index) !== settings.turned.has(groups[index]?.name ?? "");
  const open = groups.flatMap((group, index) => (isOpen(index) ? group.keys : []));
  const [sight, setSight] = useState<ReadonlySet<string>>(new Set());
  const inSight = source.isAtHand ? open : open.filter((key) => sight.has(key));
  const [tried, setTried] = useState(0);
  const axis = settings.x ?? AXIS_ORDER[tried] ?? "step";
  const curves = useCurves(source, {
    runs,
    keys: inSight,
    axis,
    zoom: settings.zoom,
    points: pointsFor(drawn.size),
    hasAttempts: settings.hasAttempts,
  });
  useEffect(() => {
    if (settings.x !== null || tried >= AXIS_ORDER.length) return;
    const all = inSight.filter(curves.isCurrent).flatMap((key) => curves.of(key) ?? []);
    if (all.length && all.every((curve) => curve.isNumbered)) setTried(tried + 1);
  }, [curves, settings.x, tried]);
  const chartOf = (key: string): ChartLines | undefined => {
    const own = curves.of(key);
    if (!own) return undefined;
    return linesOf(
      own.filter((curve) => drawn.has(curve.run)),
      {
        runs,
        strokes: strokeByRun,
        smoothing: settings.smoothing,
        isXLog: settings.isXLog,
        isLog: settings.log.has(key),
        isWhole: settings.whole.has(key),
        zoom: settings.zoom,
        groups:
          join === null
            ? null
            : grouped(drawnRuns, /seed/i.test(join) ? [join, ...seedsOf(params.differing)] : [join]),
        band: settings.band,
      },
    );
  };
  const remembered = useRef(new Map<string, { by: string; of: unknown; chart: ChartLines }>());
  const charts = (key: string): ChartLines | undefined => {
    const own = curves.of(key);
    if (!own) return undefined;
    const by = JSON.stringify([
      [...drawn],
      settings.smoothing,
      settings.isXLog,
      settings.log.has(key),
      settings.whole.has(key),
      settings.zoom,
      colour,
      join,
      settings.band,
    ]);
    const former = remembered.current.get(key);
    if (former && former.by === by && former.of === own) return former.chart;
    const chart = chartOf(key) as ChartLines;
    remembered.current.set(key, { by, of: own, chart });
    return chart;
  };
  const change = (changes: Partial<CurveSettings>, isPassing = false) =>
    onSettings({ ...settings, ...changes }, isPassing);
  useKeys([
    {
      keys: "0",
      label: "all of x again",
      group: "Curves",
      run: () => settings.zoom !== null && change({ zoom: null }),
    },
    {
      keys: "ArrowLeft",
      label: "in a chart: move the cursor; Shift by ten",
      group: "Curves",
      run: () => false,
    },
    { keys: "ArrowUp", label: "in a chart: lift the next run", group: "Curves", run: () => false },
  ]);
  const columns = tipColumns(runs, params.differing, short);
  if (source.times && (axis === "step" || axis === "epoch")) {
    const asked = windowOf({ zoom: settings.zoom, axis, points: pointsFor(drawn.size) });
    columns.timesOf = async (key, line, signal) => {
      const run = runs.find((each) => each.id === line.id);
      const nothing = { x: new Float64Array(), times: [] };
      return run && source.times
        ? source.times({ ...asked, keys: [key], attempt: null }, run, key, signal)
        : nothing;
    };
  }
  const zoom = (span: Span | null) => change({ zoom: span });
  const shown = inSight.flatMap((key) =>
    (curves.of(key) ?? [])
      .filter((curve) => drawn.has(curve.run) && curve.attempt === null)
      .map((curve) => ({ shown: curve.x.length, total: curve.total })),
  );
  const exported = (keys: readonly string[]): Exported[] =>
    keys.flatMap((key) => {
      const chart = charts(key);
      return chart ? [{ key, chart, axis, isXLog: settings.isXLog, isLog: settings.log.has(key) }] : [];
    });
  const saveAs = async (kind: "png" | "svg" | "csv", keys: readonly string[]) => {
    const name = (keys.length === 1 ? (keys[0] as string) : "curves").replace(/[^\p{L}\p{N}._-]+/gu, "-");
    if (kind === "csv") {
      const own = keys.map((key) => ({
        key,
        curves: (curves.of(key) ?? []).filter((curve) => drawn.has(curve.run)),
      }));
      const axisWord = axisName(
        axis,
        own.some((each) => each.curves.some((curve) => curve.isNumbered)),
      );
      save(`${name}.csv`, new Blob([csvOf(own, runs, axisWord)], { type: "text/csv" }));
      return;
    }
    const svg = svgOf(exported(keys), paletteOf(board.current as Element), columns.nameOf);
    save(`${name}.${kind}`, kind === "svg" ? new Blob([svg], { type: "image/svg+xml" }) : await pngOf(svg));
  };
  const fitting = Math.min(width >= 1560 ? 3 : width >= 900 ? 2 : 1, Math.max(1, open.length));
  const perRow = settings.full !== null ? 1 : Math.min(settings.columns ?? fitting, width < 560 ? 1 : 3);
  const isNarrow = width < 640;
  const hasLegend = runs.length > 1;
  const seeds = seedsOf(params.differing);
  const joins = seeds.length ? seeds.slice(0, 1) : params.differing.slice(0, 4);
  const panel = (key: string, index: number) => (
    <ChartPanel
      key={key}
      title={key}
      chart={charts(key)}
      axis={axis}
      isXLog={settings.isXLog}
      isLog={settings.log.has(key)}
      isWhole={settings.whole.has(key)}
      isFull={settings.full === key}
      isWide={
        perRow === 2 &&
        index === 0 &&
        settings.columns === null &&
        open.length <= LEAD &&
        open.length % 2 === 1
      }
      look={look}
      columns={columns}
      onSight={(isInSight) =>
        setSight((before) => {
          if (before.has(key) === isInSight) return before;
          return toggled(before, key);
        })
      }
      onLog={() => change({ log: toggled(settings.log, key) })}
      onWhole={() => change({ whole: toggled(settings.whole, key) })}
      onFull={() => change({ full: settings.full === key ? null : key })}
      onZoom={zoom}
      onSave={(kind) => saveAs(kind, [key])}
    />
  );
  const legend = (
    <RunLegend
      runs={runs}
      strokes={strokeByRun}
      drawn={drawn}
      params={params}
      short={short}
      look={look}
      axis={axis}
      first={open[0] ?? null}
      chartOf={charts}
      colour={colour}
      groups={groupsOfRuns}
      joins={joins}
      join={join}
      band={settings.band}
      onDraw={(ids) =>
        onSettings(
          withRuns(
            settings,
            runs.map((run) => run.id),
            ids,
          ),
          false,
        )
      }
      onColour={(param) => change({ colour: param })}
      onJoin={(param, band) => change({ join: param, band })}
    />
  );
  return (
    <div class={`curves-board${width < 1000 ? " narrow" : ""}`} ref={board}>
      <CurvesToolbar
        settings={settings}
        axis={axis}
        said={curves.isLoading && !shown.length ? "loading" : sampling(shown)}
        isZoomed={settings.zoom !== null}
        hasAttempts={runs.some((run) => run.attempts.length > 1)}
        isNarrow={isNarrow}
        onChange={change}
        onSave={(kind) => saveAs(kind, inSight)}
      />
      {curves.error ? <ErrorNote error={curves.error} retry={curves.retry} /> : null}
      {catalogue.problems.length ? (
        <p class="curves-problems">
          {catalogue.problems.length === 1 ? "One record" : `${catalogue.problems.length} records`} cannot be
          read: {catalogue.problems[0]}
        </p>
      ) : null}
      <div class="curves-body">
        {!hasLegend ? null : width < 1000 ? (
          <details class="curves-legend-fold">
            <summary>
              {drawn.size} of {runs.length} runs
            </summary>
            {legend}
          </details>
        ) : (
          legend
        )}
        <div class="curves-charts">
          {wanted.length ? null : <p>No metric matches {settings.keys.join(", ")}.</p>}
          {groups.map((group, index) => (
            <Group
              key={group.name}
              group={group}
              hasHeading={hasHeadings(groups) && settings.full === null}
              isOpen={isOpen(index)}
              columns={perRow}
              onTurn={() => change({ turned: toggled(settings.turned, group.name) }, true)}
            >
              {isOpen(index) && hasHeadings(groups) ? group.keys.map(panel) : null}
            </Group>
          ))}
          {hasHeadings(groups) ? null : (
            <div class={`curves-grid columns-${perRow}${open.length <= perRow ? " few" : ""}`}>
              {open.map(panel)}
            </div>
          )}
        </div>
      </div>
    </div>
  );
}

function Group({
  group,
  hasHeading,
  isOpen,
  columns,
  onTurn,
  children,
}: {
  group: MetricGroup;
  hasHeading: boolean;
  isOpen: boolean;
  columns: number;
  onTurn(): void;
  children: preact.ComponentChildren;
}) {
  if (!hasHeading) return children ? <div class={`curves-grid columns-${columns}`}>{children}</div> : null;
  return (
    <section class="curves-group">
      <h2>
        <button type="button" aria-expanded={isOpen} onClick={onTurn}>
          <bdi>{group.name || "without a series"}</bdi> <span>{group.keys.length}</span>
        </button>
      </h2>
      {isOpen ? <div class={`curves-grid columns-${columns}`}>{children}</div> : null}
    </section>
  );
}

/** Each group has the hue of its number, or the colour of the param of its first run. */
function strokesOfGroups(
  groups: readonly (readonly Run[])[],
  own: ReadonlyMap<string, Stroke>,
  by: string | null,
): Map<string, Stroke> {
  return new Map(
    groups.flatMap((group, number) =>
      group.map((run) => {
        const first = group[0] ? own.get(group[0].id) : undefined;
        return [run.id, by !== null && first ? first : strokeOf(number)] as const;
      }),
    ),
  );
}

/** The param that colours runs when there are too many for hues: the first one with numbers. */
function firstNumber(runs: readonly Run[], names: readonly string[]): string | null {
  const seeds = seedsOf(names);
  const found = names.filter(
    (name) => !seeds.includes(name) && runs.some((run) => typeof run.params[name] === "number"),
  );
  return found[0] ?? null;
}

function tipColumns(
  runs: readonly Run[],
  differing: readonly string[],
  short: ReadonlyMap<string, string>,
): TipColumns {
  const byId = new Map(runs.map((run) => [run.id, run]));
  const names = differing.slice(0, 4);
  const valuesOf = (line: { runs: readonly string[] }) => {
    const own = line.runs.map((id) => byId.get(id));
    return names.map((name) => {
      const values = new Set(own.map((run) => paramText(run?.params[name])));
      return values.size === 1 ? ([...values][0] as string) : `${values.size} values`;
    });
  };
  return {
    names: names.map((name) => short.get(name) ?? name),
    valuesOf,
    nameOf(line) {
      const values = valuesOf(line).map((value, index) => `${short.get(names[index] as string)}=${value}`);
      const attempt = line.attempt === null ? "" : ` attempt ${line.attempt}`;
      return `${line.runs.length > 1 ? `mean of ${line.runs.length}` : (line.runs[0] ?? "")}${attempt}${values.length ? ` (${values.join(", ")})` : ""}`;
    },
  };
}

/** The width of an element, as it is now. */
function useWidth(element: { readonly current: HTMLElement | null }): number {
  const [width, setWidth] = useState(1280);
  useEffect(() => {
    if (!element.current) return;
    const sizes = new ResizeObserver(([entry]) => {
      if (entry) setWidth(entry.contentRect.width);
    });
    sizes.observe(element.current);
    return () => sizes.disconnect();
  }, []);
  return width;
}
