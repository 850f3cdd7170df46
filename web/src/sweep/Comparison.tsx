import type { ComponentChildren } from "preact";
import { useEffect, useMemo, useState } from "preact/hooks";
import { send } from "../api/client";
import type { CompareDocument } from "../api/documents/compare";
import { navigate, route, withQuery } from "../app/route";
import { CommandHint } from "../ui/CommandHint";
import { ErrorNote } from "../ui/ErrorNote";
import { MenuButton } from "../ui/MenuButton";
import { withTies } from "./best";
import { type Brush, brushesOf, keeps, withBrush } from "./brushes";
import { Conditions } from "./Conditions";
import { type Column, metricColumn, metricsOf, paramColumn, paramsOf, withFunction } from "./columns";
import { download } from "./download";
import { csv, markdown, type Table, tableOf, tsv } from "./exports";
import { Marked } from "./Marked";
import { ParallelAxes } from "./ParallelAxes";
import {
  type AxisChoice,
  axisChoice,
  axisText,
  type Choice,
  choiceOf,
  command,
  documentPath,
  type SortKey,
  type Source,
  sortText,
} from "./request";
import { type Row, rowsOf } from "./rows";
import { Scatter } from "./Scatter";
import { Segmented } from "./Segmented";
import { SweepTable } from "./SweepTable";
import { type Colouring, colouring, STEPS } from "./sequence";
import { axesOf, colouredBy, isSmallFirst, nextSort, scatterAxes } from "./settings";
import { useLatest } from "./useLatest";
import { rounded } from "./values";
import "./SweepPanel.css";
import "./Comparison.css";

export interface ComparisonProps {
  readonly source: Source;
  /** Topics of the live stream at which the documents are asked for again. */
  readonly topics: readonly string[];
  /** The sweep or group whose name the rows leave out. */
  readonly within?: string;
  /** What is compared, before the conditions. */
  readonly chips?: ComponentChildren;
  /** What to say if there is no row. */
  readonly empty: ComponentChildren;
  /** Between the axes and the table; a task is lifted in both. */
  figures?(lifted: string | null, onLift: (task: string | null) => void): ComponentChildren;
  /** The tasks whose search pruned them: they have the word, and cannot be the best. */
  readonly pruned?: ReadonlySet<string>;
  /** Below the table: what has no row. */
  foot?(rows: readonly Row[]): ComponentChildren;
  /** The name of a saved file, without its end. */
  readonly fileName: string;
}

const NONE: ReadonlySet<string> = new Set();
const REPLACED = { replace: true } as const;

/** Rows of `exp compare` as parallel axes, a table and a scatter, with one selection; all of it is in the address. */
export function Comparison(props: ComparisonProps) {
  const { source, topics } = props;
  const query = route.value.query;
  const choice = choiceOf(query);
  const of = JSON.stringify([source, choice.groupBy]);
  const all = useLatest<CompareDocument>(of, documentPath(source, { ...choice, where: [] }), topics);
  const narrowed = useLatest<CompareDocument>(
    of,
    choice.where.length ? documentPath(source, choice) : null,
    topics,
  );
  if (!all.document) {
    if (!all.error) return null;
    const isReset = choice.sort.length || choice.keys.length || choice.groupBy.length;
    return (
      <div class="comparison">
        <ErrorNote error={all.error} retry={all.reload} />
        {isReset ? (
          <p>
            <a class="button" href={withQuery({ sort: null, key: null, group_by: null, over: null })}>
              Compare without sort, groups and chosen metrics
            </a>
          </p>
        ) : null}
      </div>
    );
  }
  return (
    <Shown
      {...props}
      choice={choice}
      all={all.document}
      kept={choice.where.length ? narrowed.document : all.document}
      error={narrowed.error ?? all.error}
      isBusy={all.isOld || narrowed.isOld}
    />
  );
}

interface ShownProps extends ComparisonProps {
  readonly choice: Choice;
  readonly all: CompareDocument;
  readonly kept: CompareDocument | null;
  readonly error: unknown;
  readonly isBusy: boolean;
}

function Shown(props: ShownProps) {
  const { choice, all, within = "", source } = props;
  const query = route.value.query;
  const [hovered, setHovered] = useState<string | null>(null);
  const [draft, setDraft] = useState<{ column: Column; brush: Brush | null; of: string } | null>(null);
  const hidden = query.getAll("hide");
  const picked = query.get("pick");

  const allRows = useMemo(() => rowsOf(all, within), [all, within]);
  const { columns, every } = useColumns(all, choice, hidden);
  const sorted = choice.sort.map(sortText).join("\n");
  const keptRows = useMemo(
    () => withTies(rowsOf(props.kept ?? all, within), every, choice.sort),
    [props.kept, all, within, every, sorted],
  );
  const chosenAxes = query.getAll("axis").map(axisChoice);
  const address = query.toString();
  const axes = useMemo(() => axesOf(columns, allRows, chosenAxes, choice.sort), [columns, allRows, address]);
  const scaleOfColumn = (column: Column) =>
    axes.find((axis) => axis.column.key === column.key)?.scale ?? axesOf([column], allRows, [], [])[0]?.scale;
  const settled = useMemo(
    () => brushesOf(choice.where, columns, (column) => scaleOfColumn(column) as never),
    [choice.where.join("\n"), axes],
  );
  const where = choice.where.join("\n");
  useEffect(() => {
    if (!props.isBusy) setDraft((before) => (before && before.of !== where ? null : before));
  }, [where, props.isBusy]);
  const brushes = useMemo(() => {
    if (!draft) return settled;
    const drawn = new Map(settled);
    if (draft.brush) drawn.set(draft.column.key, draft.brush);
    else drawn.delete(draft.column.key);
    return drawn;
  }, [settled, draft]);
  const shownRows = useMemo(
    () =>
      draft?.brush
        ? keptRows.filter((row) => draft.brush && keeps(draft.brush, row.value(draft.column)))
        : keptRows,
    [keptRows, draft],
  );
  const keptIds = useMemo(() => new Set(shownRows.map((row) => row.id)), [shownRows]);
  const rows = useMemo(
    () => [...shownRows, ...allRows.filter((row) => !keptIds.has(row.id))],
    [shownRows, allRows, keptIds],
  );
  const coloured = colouredBy(columns, choice.sort);
  const isSmall = coloured
    ? isSmallFirst(
        coloured,
        choice.sort.find((each) => each.key === coloured.key),
      )
    : false;
  const colours = useMemo(
    () =>
      colouring(coloured?.key ?? null, coloured ? shownRows.map((row) => row.value(coloured)) : [], isSmall),
    [coloured?.key, shownRows, isSmall],
  );
  const colourOf = (row: Row) => (coloured ? row.value(coloured) : undefined);
  const lifted = hovered ?? picked;
  const scatter = scatterAxes(
    columns,
    allRows,
    { x: query.get("x"), y: query.get("y"), shape: query.get("shape") },
    coloured,
  );
  const summary = `${shownRows.length} of ${allRows.length}`;
  const sortBy = (column: Column, isFurther: boolean) => setSort(nextSort(choice.sort, column, isFurther));
  const pick = (id: string | null) => navigate(withQuery({ pick: id }), REPLACED);
  const setWhere = (conditions: readonly string[]) => navigate(withQuery({ where: conditions }));
  const setAxes = (changed: readonly AxisChoice[]) =>
    navigate(withQuery({ axis: changed.map(axisText) }), REPLACED);
  const axisChoices = (): AxisChoice[] =>
    axes.map(({ column }) => chosenAxes.find((each) => each.key === column.key) ?? { key: column.key });
  const move = (from: number, to: number) => {
    const changed = axisChoices();
    changed.splice(to, 0, ...changed.splice(from, 1));
    setAxes(changed);
  };
  const brush = (column: Column, drawn: Brush | null, isDone: boolean) => {
    const scale = scaleOfColumn(column);
    if (!scale) return;
    const conditions = withBrush(choice.where, column, drawn, columns, scale);
    if (!isDone) setDraft({ column, brush: drawn, of: where });
    else if (conditions.join("\n") === where) setDraft(null);
    else {
      setDraft({ column, brush: drawn, of: where });
      setWhere(conditions);
    }
  };
  const setFunction = (column: Column, fn: Parameters<typeof withFunction>[1]) => {
    const next = withFunction(column, fn).key;
    const renamed = (key: string) => (key === column.key ? next : key);
    const shown = every.filter((each) => each.kind === "metric").map((each) => each.key);
    navigate(
      withQuery({
        key: shown.map(renamed),
        sort: choice.sort.map((each) => sortText({ ...each, key: renamed(each.key) })),
        axis: chosenAxes.map((each) => axisText({ ...each, key: renamed(each.key) })),
        hide: hidden.map(renamed),
        ...(query.get("x") === column.key ? { x: next } : {}),
        ...(query.get("y") === column.key ? { y: next } : {}),
      }),
    );
  };
  if (!allRows.length) {
    return (
      <div class="comparison">
        {props.figures?.(null, () => {})}
        {props.empty}
      </div>
    );
  }
  return (
    <div class="comparison" aria-busy={props.isBusy}>
      <div class="comparison-bar">
        {props.chips}
        <Conditions
          conditions={choice.where}
          keys={["status", ...every.map((column) => column.key)]}
          onChange={setWhere}
        />
        <span class="comparison-count" role="status">
          <strong>{shownRows.length}</strong> of {allRows.length}
        </span>
        <div class="comparison-end">
          <GroupChoice choice={choice} all={all} />
          {choice.groupBy.length ? null : (
            <Segmented
              label="Params"
              value={choice.isAllParams ? "all" : ""}
              choices={[
                ["", "Only what differs"],
                ["all", "All params"],
              ]}
              onChoose={(value) => navigate(withQuery({ params: value || null }))}
            />
          )}
          <Exports source={source} choice={choice} name={props.fileName} />
        </div>
      </div>
      {props.error ? <ErrorNote error={props.error} /> : null}
      <Notes document={props.kept ?? all} />
      <section class="sweep-panel" aria-label="Parallel coordinates">
        <div class="sweep-panel-head">
          <h2>Parallel coordinates</h2>
          <span class="sweep-panel-note">
            {choice.groupBy.length ? "means of groups; " : ""}
            drag along an axis to keep a part of it
          </span>
          <AxisMenu
            columns={columns.filter((column) => axes.every((axis) => axis.column.key !== column.key))}
            onAdd={(column) => setAxes([...axisChoices(), { key: column.key }])}
          />
          <ColourLegend colours={colours} />
        </div>
        <ParallelAxes
          rows={allRows}
          kept={keptIds}
          axes={axes}
          colours={colours}
          colourOf={colourOf}
          lifted={lifted}
          brushes={brushes}
          summary={summary}
          isGrouped={choice.groupBy.length > 0}
          onLift={setHovered}
          onPick={(id) => pick(id === picked ? null : id)}
          onBrush={brush}
          onMove={move}
          onFunction={setFunction}
          onScale={(column, change) =>
            setAxes(axisChoices().map((each) => (each.key === column.key ? { ...each, ...change } : each)))
          }
          onSort={(column) => sortBy(column, false)}
          onHide={(column) => navigate(withQuery({ hide: [...hidden, column.key] }))}
        />
      </section>
      {props.figures?.(allRows.find((row) => row.id === lifted)?.task ?? null, (task) =>
        setHovered(allRows.find((row) => row.task === task && task !== null)?.id ?? null),
      )}
      <div class="comparison-parts">
        <section class="sweep-panel" aria-label="Table">
          <div class="sweep-panel-head">
            <h2>Table</h2>
            <span class="sweep-panel-note">{sortNote(choice.sort)}</span>
            <div class="comparison-hint">
              <CommandHint command={command(source, choice)} />
            </div>
            <span class="sweep-panel-end">
              <Marked />
              <ColumnChoice every={every} hidden={hidden} />
            </span>
          </div>
          <SweepTable
            rows={rows}
            kept={shownRows.length}
            columns={columns}
            sort={choice.sort}
            lifted={lifted}
            picked={picked}
            pruned={props.pruned ?? NONE}
            isSeveralExperiments={new Set(allRows.map((row) => row.experiment)).size > 1}
            caption={`${summary} ${choice.groupBy.length ? "groups" : "records"}`}
            onSort={sortBy}
            onLift={setHovered}
            onPick={pick}
          />
          {props.foot?.(allRows)}
        </section>
        {scatter ? (
          <section class="sweep-panel" aria-label="Scatter">
            <div class="sweep-panel-head">
              <h2>Scatter</h2>
              <ColumnSelect label="x" value={scatter.x.key} columns={columns} name="x" />
              <ColumnSelect label="y" value={scatter.y.key} columns={columns} name="y" />
              <ColumnSelect
                label="shape"
                value={scatter.shape?.key ?? ""}
                columns={columns.filter((column) => column.kind === "param")}
                name="shape"
                none="none"
              />
            </div>
            <Scatter
              rows={allRows}
              kept={keptIds}
              {...scatter}
              colours={colours}
              colourOf={colourOf}
              lifted={lifted}
              picked={picked}
              onLift={setHovered}
              onPick={(id) => pick(id === picked ? null : id)}
            />
          </section>
        ) : null}
      </div>
    </div>
  );
}

function setSort(sort: readonly SortKey[]): void {
  navigate(withQuery({ sort: sort.map(sortText) }));
}

/** The columns that are shown, and all that can be. */
function useColumns(all: CompareDocument, choice: Choice, hidden: readonly string[]) {
  return useMemo(() => {
    const metrics = metricsOf(all);
    const params = choice.isAllParams ? paramsOf(all) : all.differing;
    const named = all.group_by ?? params;
    const titles = all.columns ?? metrics;
    const every = [
      ...named.map((name) => paramColumn(name, metrics)),
      ...titles.map((title) => metricColumn(title, metrics)),
    ];
    return { every, columns: every.filter((column) => !hidden.includes(column.key)) };
  }, [all, choice.isAllParams, hidden.join("\n")]);
}

function sortNote(sort: readonly SortKey[]): string {
  const words = sort.map(({ key, isDescending }) => `${key}, ${isDescending ? "largest" : "smallest"} first`);
  return words.length
    ? `by ${words.join("; ties by ")}`
    : "in the order of the command; press a head to sort";
}

function Notes({ document }: { document: CompareDocument }) {
  const texts = [...(document.notes ?? []), ...(document.problems ?? [])];
  return texts.length ? (
    <ul class="comparison-problem">
      {texts.map((text) => (
        <li key={text} dir="auto">
          {text}
        </li>
      ))}
    </ul>
  ) : null;
}

function AxisMenu({ columns, onAdd }: { columns: readonly Column[]; onAdd(column: Column): void }) {
  if (!columns.length) return null;
  return (
    <MenuButton label="Add an axis">
      {columns.map((column) => (
        <button key={column.key} type="button" onClick={() => onAdd(column)}>
          <bdi class="mono">{column.name}</bdi> {column.fn ?? ""}
        </button>
      ))}
    </MenuButton>
  );
}

function ColourLegend({ colours }: { colours: Colouring }) {
  if (!colours.title) return null;
  const steps = Array.from({ length: STEPS }, (_, index) =>
    colours.isSmallStrong ? STEPS - index : index + 1,
  );
  return (
    <span class="colour-legend sweep-panel-end">
      <bdi>{colours.title}</bdi>
      <span>{rounded(colours.least)}</span>
      <svg width="120" height="8" role="img" aria-label="from pale to strong">
        {steps.map((step, index) => (
          <rect key={step} class={`step-${step}`} x={index * 24} width="24" height="8" />
        ))}
      </svg>
      <span>{rounded(colours.most)}</span>
    </span>
  );
}

function ColumnSelect(props: {
  label: string;
  value: string;
  columns: readonly Column[];
  name: string;
  none?: string;
}) {
  return (
    <label class="choice-chip">
      {props.label}
      <select
        value={props.value}
        onChange={(event) => navigate(withQuery({ [props.name]: event.currentTarget.value }), REPLACED)}
      >
        {props.none ? <option value="">{props.none}</option> : null}
        {props.columns.map((column) => (
          <option key={column.key} value={column.key}>
            {column.key}
          </option>
        ))}
      </select>
    </label>
  );
}

function ColumnChoice({ every, hidden }: { every: readonly Column[]; hidden: readonly string[] }) {
  const toggle = (key: string) =>
    navigate(
      withQuery({ hide: hidden.includes(key) ? hidden.filter((each) => each !== key) : [...hidden, key] }),
    );
  return (
    <MenuButton label="Columns" side="end" isOpenAfterChoice>
      {every.map((column) => (
        <label key={column.key}>
          <input type="checkbox" checked={!hidden.includes(column.key)} onChange={() => toggle(column.key)} />
          <bdi class="mono">{column.name}</bdi> {column.fn ?? ""}
        </label>
      ))}
    </MenuButton>
  );
}

/** Which params make a row, and over which the rows are averaged. */
function GroupChoice({ choice, all }: { choice: Choice; all: CompareDocument }) {
  const params = [...new Set([...(all.group_by ?? []), ...(all.over ?? []), ...all.differing])];
  const { groupBy } = choice;
  if (params.length < 2 && !groupBy.length) return null;
  const over = params.filter((name) => !groupBy.includes(name));
  const setGroups = (names: readonly string[]) =>
    navigate(withQuery({ group_by: names, over: null, pick: null, hide: null, axis: null }));
  return (
    <MenuButton
      side="end"
      isOpenAfterChoice
      label={groupBy.length ? `Mean over ${over.join(", ") || "equal records"}` : "Mean over…"}
    >
      <p class="menu-button-note">Average over the values of these params, such as seed:</p>
      {params.map((name) => (
        <label key={name}>
          <input
            type="checkbox"
            checked={groupBy.length > 0 && !groupBy.includes(name)}
            disabled={groupBy.length === 1 && groupBy.includes(name)}
            onChange={(event) => {
              const isOver = event.currentTarget.checked;
              const before = groupBy.length ? groupBy : params;
              const names = params.filter((each) => (each === name ? !isOver : before.includes(each)));
              setGroups(names.length === params.length ? [] : names);
            }}
          />
          <bdi class="mono">{name}</bdi>
        </label>
      ))}
      {groupBy.length ? (
        <button type="button" onClick={() => setGroups([])}>
          Each record by itself
        </button>
      ) : null}
    </MenuButton>
  );
}

function Exports({ source, choice, name }: { source: Source; choice: Choice; name: string }) {
  const [problem, setProblem] = useState<unknown>(null);
  const load = async () => {
    setProblem(null);
    return (await send(documentPath(source, choice))).text();
  };
  const save = (end: string, type: string, write: (table: Table) => string) =>
    load().then(
      (text) => download(`${name}.${end}`, write(tableOf(text, choice.isAllParams)), type),
      setProblem,
    );
  return (
    <>
      <MenuButton label="CSV, JSON, Markdown" side="end">
        <button type="button" onClick={() => save("csv", "text/csv", csv)}>
          Save as CSV
        </button>
        <button
          type="button"
          onClick={() =>
            load().then(
              (text) => download(`${name}.json`, `${text.trim()}\n`, "application/json"),
              setProblem,
            )
          }
        >
          Save as JSON
        </button>
        <button type="button" onClick={() => save("md", "text/markdown", markdown)}>
          Save as Markdown
        </button>
        <button
          type="button"
          onClick={() =>
            load().then(
              (text) => navigator.clipboard.writeText(tsv(tableOf(text, choice.isAllParams))),
              setProblem,
            )
          }
        >
          Copy as tab-separated text
        </button>
      </MenuButton>
      {problem ? <ErrorNote error={problem} /> : null}
    </>
  );
}
