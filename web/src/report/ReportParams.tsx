import { type Catalogue, catalogueOf, type Run } from "../curves/model";
import { differences, paramText } from "../curves/params";
import { shortValue } from "../curves/ticks";
import { StatusMark } from "../ui/StatusMark";
import { visibleText } from "../ui/visibleText";
import type { ReportData } from "./data";

const MOST_METRICS = 6;
const MOST_RUNS = 500;

/** The params of the experiment, what its records have in common, and a table of what differs. */
export function ReportParams({ data }: { data: ReportData }) {
  const catalogue = catalogueOf(data.curves.step);
  const { differing } = differences(catalogue.runs);
  const first = catalogue.runs[0];
  const common = first ? Object.entries(first.params).filter(([name]) => !differing.includes(name)) : [];
  const own = Object.entries(data.params).filter(([name]) => !common.some(([known]) => known === name));
  return (
    <>
      {own.length ? <Values label="Params of the experiment" entries={own} /> : null}
      {common.length ? <Values label="The same in all records" entries={common} /> : null}
      {catalogue.runs.length > 1 ? <Results data={data} catalogue={catalogue} differing={differing} /> : null}
    </>
  );
}

export function Values({ label, entries }: { label: string; entries: readonly [string, unknown][] }) {
  return (
    <dl class="report-values" aria-label={label}>
      {entries.map(([name, value]) => (
        <div key={name}>
          <dt dir="auto">{visibleText(name)}</dt>
          <dd dir="auto">{visibleText(paramText(value))}</dd>
        </div>
      ))}
    </dl>
  );
}

interface ResultsProps {
  readonly data: ReportData;
  readonly catalogue: Catalogue;
  readonly differing: readonly string[];
}

/** The records with what differs between them, and the last values of their metrics. */
function Results({ data, catalogue, differing }: ResultsProps) {
  const keys = catalogue.metrics.slice(0, MOST_METRICS).map(({ key }) => key);
  const lasts = new Map(
    data.curves.step.records.map((record) => [
      `${record.prefix}\n${record.task ?? ""}`,
      new Map(record.curves.map((curve) => [curve.key, curve.last.at(-1) ?? null])),
    ]),
  );
  const lastOf = (run: Run, key: string) => lasts.get(`${run.prefix}\n${run.task ?? ""}`)?.get(key);
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls
    <section class="report-scroll" tabIndex={0} aria-label="Records">
      <table class="report-table">
        <thead>
          <tr>
            <th>Record</th>
            {differing.map((name) => (
              <th key={name}>
                <bdi>{visibleText(name)}</bdi>
              </th>
            ))}
            {keys.map((key) => (
              <th key={key} class="number">
                <bdi>{visibleText(key)}</bdi> last
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {catalogue.runs.slice(0, MOST_RUNS).map((run) => (
            <tr key={run.id}>
              <td>
                <StatusMark status={run.status} /> <bdi>{visibleText(run.id)}</bdi>
              </td>
              {differing.map((name) => (
                <td key={name} dir="auto">
                  {name in run.params ? visibleText(paramText(run.params[name])) : ""}
                </td>
              ))}
              {keys.map((key) => (
                <td key={key} class="number">
                  {valueText(lastOf(run, key))}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}

function valueText(value: number | string | null | undefined): string {
  if (value === undefined) return "";
  if (value === null) return "NaN";
  return typeof value === "number" ? shortValue(value) : value;
}
