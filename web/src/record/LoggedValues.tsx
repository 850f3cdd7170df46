import { useMemo, useState } from "preact/hooks";
import { type RecordAddress, recordDocument } from "../api/addresses";
import type { MetricsDocument } from "../api/documents/metrics";
import { useDocument } from "../api/useDocument";
import { DataPanel } from "../ui/DataPanel";
import { ErrorNote } from "../ui/ErrorNote";
import { type Json, plainValue } from "../ui/exactJson";
import { bytes, count } from "../ui/format";
import { LongText } from "../ui/LongText";
import { commandLine } from "../ui/quoting";
import { labelText } from "../ui/shownTexts";
import { visibleText } from "../ui/visibleText";
import { HeatMap } from "./HeatMap";
import { type Drawn, drawnAs, type LoggedValue } from "./loggedKinds";
import "./LoggedValues.css";

const MOST = 500;
const MOST_BYTES = 8_000_000;
const LISTED = 100;
const MOST_ROWS = 200;
const MOST_COLUMNS = 200;
const MOST_CELLS = 10_000;

export interface LoggedProps {
  readonly record: RecordAddress;
  readonly series: string | null;
  readonly field: string;
  /** The bytes of a row of the series, on average. */
  readonly rowBytes: number;
}

/** The values of a field that are no numbers: lists and histograms as heat over steps, tables, texts. */
export function LoggedValues(props: LoggedProps) {
  const { series, field, rowBytes } = props;
  if (rowBytes <= MOST_BYTES) return <ShownValues {...props} />;
  const key = series === null ? field : `${series}/${field}`;
  return (
    <DataPanel title={visibleText(key)}>
      <p class="data-panel-note">
        A row has {bytes(rowBytes)}, which a page does not load. The command above prints it with{" "}
        <code>{visibleText(commandLine("--key", key))}</code>.
      </p>
    </DataPanel>
  );
}

function ShownValues({ record, series, field, rowBytes }: LoggedProps) {
  const most = Math.min(MOST, Math.floor(MOST_BYTES / Math.max(1, rowBytes)));
  const key = series === null ? field : `${series}/${field}`;
  const { document, error, reload } = useDocument<MetricsDocument>(
    recordDocument(record, "metrics", { key, last: String(most) }),
    [`record:${record.prefix}`],
  );
  const own = document?.series.find((each) => each.name === series);
  const [drawn, total] = useMemo((): [Drawn | null, number] => {
    if (!own) return [null, 0];
    const rows = own.rows as readonly Readonly<Record<string, Json>>[];
    const values = rows.flatMap((row, index): LoggedValue[] => {
      const value = row[field];
      const at = [row.step, row.epoch].find((each) => typeof each === "number");
      return value === undefined || value === null || typeof value === "number"
        ? []
        : [{ at: (at as number | undefined) ?? own.count - rows.length + index, value }];
    });
    return [drawnAs(values), own.count];
  }, [own, field]);
  if (error) return <ErrorNote error={error} retry={reload} />;
  if (!drawn) return null;
  return (
    <DataPanel
      title={visibleText(key)}
      about={`${what(drawn)}${total > most ? `; the last ${count(most)} of ${count(total)} rows` : ""}`}
    >
      <Body drawn={drawn} label={key} />
    </DataPanel>
  );
}

function what(drawn: Drawn): string {
  switch (drawn.kind) {
    case "heat": {
      const kind = drawn.edges ? "histograms" : "lists";
      const moving = drawn.isMoving ? ", whose bins differ: the edges are the latest" : "";
      return `${kind} of ${count(drawn.bins)}, over ${several(drawn.rows.length, "step")}${moving}`;
    }
    case "matrix":
      return `arrays, ${several(drawn.matrices.length, "step")}`;
    case "table":
      return `tables, ${several(drawn.tables.length, "step")}`;
    default:
      return several(drawn.values.length, "value");
  }
}

function several(number: number, word: string): string {
  return `${count(number)} ${word}${number === 1 ? "" : "s"}`;
}

function Body({ drawn, label }: { drawn: Drawn; label: string }) {
  switch (drawn.kind) {
    case "heat":
      return (
        <HeatMap
          label={`${label} over steps`}
          columns={drawn.rows.map((row) => row.values)}
          left={String(drawn.rows[0]?.at)}
          right={`step ${drawn.rows.at(-1)?.at}`}
          bottom={String(drawn.edges?.[0] ?? 0)}
          top={String(drawn.edges?.at(-1) ?? drawn.bins)}
        />
      );
    case "matrix":
      return <Stepped items={drawn.matrices} show={(each) => <Matrix label={label} rows={each.rows} />} />;
    case "table":
      return <Stepped items={drawn.tables} show={(each) => <Table head={each.head} rows={each.rows} />} />;
    default:
      return <Listed values={drawn.values} />;
  }
}

interface SteppedProps<Item> {
  readonly items: readonly Item[];
  show(item: Item): preact.JSX.Element;
}

/** One of the values, chosen by a slider over the steps; the latest at first. */
function Stepped<Item extends { readonly at: number }>({ items, show }: SteppedProps<Item>) {
  const [picked, setPicked] = useState<number | null>(null);
  const index = picked === null ? items.length - 1 : Math.min(picked, items.length - 1);
  const item = items[index];
  if (!item) return null;
  return (
    <div class="logged-stepped">
      {items.length > 1 ? (
        <label class="logged-slider">
          step <b>{item.at}</b>
          <input
            class="slider"
            type="range"
            min={0}
            max={items.length - 1}
            value={index}
            aria-valuetext={`step ${item.at}`}
            onInput={({ currentTarget: { value } }) =>
              setPicked(Number(value) === items.length - 1 ? null : Number(value))
            }
          />
        </label>
      ) : null}
      {show(item)}
    </div>
  );
}

function Matrix({ label, rows }: { label: string; rows: readonly (readonly number[])[] }) {
  const width = rows[0]?.length ?? 0;
  const columns = Array.from({ length: width }, (_, column) =>
    rows.map((row) => row[column] as number).reverse(),
  );
  return (
    <HeatMap
      label={label}
      columns={columns}
      left="0"
      right={String(width - 1)}
      bottom={String(rows.length - 1)}
      top="0"
      isSquare
    />
  );
}

function Table({ head: all, rows }: { head: readonly string[]; rows: readonly (readonly Json[])[] }) {
  const head = all.slice(0, MOST_COLUMNS);
  const shown = rows.slice(0, Math.min(MOST_ROWS, Math.ceil(MOST_CELLS / head.length)));
  return (
    <div class="table-scroll">
      <table class="data-table">
        <thead>
          <tr>
            {head.map((name) => (
              <th key={name} scope="col">
                {labelText(name, 200)}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {shown.map((row, index) => (
            <tr key={String(index)}>
              {row.slice(0, MOST_COLUMNS).map((value, column) => (
                <td
                  key={head[column]}
                  class={typeof value === "number" ? "number logged-left" : ""}
                  dir="auto"
                >
                  <LongText text={typeof value === "string" ? value : plainValue(value)} most={240} />
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
      {rows.length > shown.length || all.length > head.length ? (
        <p class="data-panel-note">
          The first {count(shown.length)} of {count(rows.length)} rows
          {all.length > head.length ? `, and ${count(head.length)} of ${count(all.length)} columns` : ""}.
        </p>
      ) : null}
    </div>
  );
}

function Listed({ values }: { values: readonly LoggedValue[] }) {
  const shown = values.slice(-LISTED);
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls by keys
    <section class="table-scroll logged-scroll" tabIndex={0} aria-label="values by step">
      <table class="data-table">
        <thead>
          <tr>
            <th scope="col">Step</th>
            <th scope="col">Value</th>
          </tr>
        </thead>
        <tbody>
          {shown.map(({ at, value }, index) => (
            <tr key={String(values.length - shown.length + index)}>
              <td class="mono">{at}</td>
              <td class="mono" dir="auto">
                <LongText text={plainValue(value)} />
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}
