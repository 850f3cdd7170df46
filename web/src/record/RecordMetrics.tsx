import { recordDocument } from "../api/addresses";
import type { MetricsDocument, Statistics } from "../api/documents/metrics";
import { useDocument } from "../api/useDocument";
import { CurvesView } from "../curves/CurvesView";
import { DataPanel } from "../ui/DataPanel";
import { EmptyState } from "../ui/EmptyState";
import { ErrorNote } from "../ui/ErrorNote";
import { count } from "../ui/format";
import { visibleText } from "../ui/visibleText";
import { LoggedImages } from "./LoggedImages";
import { LoggedValues } from "./LoggedValues";
import { shortNumber } from "./recordFacts";
import type { RecordTabProps } from "./recordTabs";

const COLUMNS = ["last", "min", "max", "mean"] as const;

/** The curves of the record, its statistics, and what was logged that is no number: lists, tables, texts, images. */
export function RecordMetrics({ record, view }: RecordTabProps) {
  const { document, error, reload } = useDocument<MetricsDocument>(recordDocument(record, "metrics"), [
    `record:${record.prefix}`,
  ]);
  if (!document) return error ? <ErrorNote error={error} retry={reload} /> : null;
  const rows = document.series.flatMap((series) =>
    Object.entries(series.statistics).map(([field, values]) => ({ key: keyOf(series.name, field), values })),
  );
  if (!rows.length && !view.others?.length) {
    return (
      <EmptyState>
        <p>
          Nothing was logged yet. In the program: <code>Experiment().metrics("train").log(loss=…)</code>
        </p>
      </EmptyState>
    );
  }
  return (
    <>
      {rows.length ? <CurvesView records={[record]} /> : null}
      {rows.length ? <StatisticsTable rows={rows} /> : null}
      {view.others?.length ? (
        <div class="logged-grid">
          {view.others.map(({ series, field, row_bytes: rowBytes = 0 }) => (
            <LoggedValues
              key={keyOf(series, field)}
              record={record}
              series={series}
              field={field}
              rowBytes={rowBytes}
            />
          ))}
        </div>
      ) : null}
      {view.counts?.files ? <LoggedImages record={record} /> : null}
    </>
  );
}

/** The key of a field, as commands and options name it. */
export function keyOf(series: string | null, field: string): string {
  return series === null ? field : `${series}/${field}`;
}

function StatisticsTable({
  rows,
}: {
  rows: readonly { readonly key: string; readonly values: Statistics }[];
}) {
  const hasNan = rows.some(({ values }) => values.nan);
  return (
    <DataPanel title="Statistics" about={`${count(rows.length)} ${rows.length === 1 ? "metric" : "metrics"}`}>
      <div class="table-scroll">
        <table class="data-table">
          <thead>
            <tr>
              <th scope="col">Metric</th>
              {COLUMNS.map((name) => (
                <th key={name} scope="col" class="number">
                  {name}
                </th>
              ))}
              <th scope="col" class="number">
                count
              </th>
              {hasNan ? (
                <th scope="col" class="number">
                  NaN
                </th>
              ) : null}
            </tr>
          </thead>
          <tbody>
            {rows.map(({ key, values }) => (
              <tr key={key}>
                <td class="mono">{visibleText(key)}</td>
                {COLUMNS.map((name) => (
                  <td key={name} class="number" title={String(values[name])}>
                    {shortNumber(values[name])}
                  </td>
                ))}
                <td class="number">{count(values.count)}</td>
                {hasNan ? <td class="number">{values.nan ? count(values.nan) : ""}</td> : null}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </DataPanel>
  );
}
