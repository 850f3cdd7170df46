import { areNumbers, formatOf, rounded } from "../sweep/values";
import { duration } from "../ui/format";
import { StatusMark } from "../ui/StatusMark";
import { visibleText } from "../ui/visibleText";
import { phaseOf, type Study, type Trial, winnersOf } from "./study";
import "./search.css";

const MOST = 1_000; // rows; of more trials the first ones

/** The trials of a search with their params and values, in the order of their numbers. */
export function TrialTable({ study }: { study: Study }) {
  const winners = winnersOf(study);
  const rows = study.history.slice(0, MOST);
  const formats = study.metrics.map((_, goal) =>
    formatOf(
      rows.map((trial) => trial.values?.[goal]),
      true,
    ),
  );
  const columns = study.params.map(({ name }) => {
    const values = rows.map((trial) => trial.params[name]);
    return { name, format: formatOf(values, false), isNumber: areNumbers(values) };
  });
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls can be reached by keys
    <section class="trial-scroll" tabIndex={0} aria-label={`Trials of ${study.id}`}>
      <table class="trial-table">
        <caption class="visually-hidden">The trials of {study.id}</caption>
        <thead>
          <tr>
            <th scope="col">Trial</th>
            <th scope="col">Result</th>
            {study.metrics.map((metric) => (
              <th key={metric} scope="col" class="is-number">
                <bdi>{visibleText(metric)}</bdi>
              </th>
            ))}
            {columns.map(({ name, isNumber }) => (
              <th key={name} scope="col" class={isNumber ? "is-number" : ""}>
                <bdi>{visibleText(name)}</bdi>
              </th>
            ))}
            <th scope="col" class="is-number">
              Duration
            </th>
          </tr>
        </thead>
        <tbody>
          {rows.map((trial) => (
            <tr key={trial.number} class={winners.has(trial.number) ? "is-best" : ""}>
              <th scope="row" class="mono">
                <a href={`?task=${encodeURIComponent(trial.task)}`}>{trial.number}</a>
              </th>
              <td class="trial-result" title={trial.message ?? undefined}>
                <StatusMark status={trial.status} reason={trial.reason} /> {resultOf(trial)}
                {winners.has(trial.number) ? (
                  <strong> {study.goals.length > 1 ? "not dominated" : "best"}</strong>
                ) : null}
              </td>
              {study.metrics.map((metric, goal) => (
                <td key={metric} class="is-number">
                  {trial.values ? formats[goal]?.(trial.values[goal]) : "–"}
                </td>
              ))}
              {columns.map(({ name, format, isNumber }) => (
                <td key={name} class={isNumber ? "is-number" : ""}>
                  <bdi>
                    {Object.hasOwn(trial.params, name) ? visibleText(format(trial.params[name])) : "–"}
                  </bdi>
                </td>
              ))}
              <td class="is-number">{trial.duration === null ? "" : duration(trial.duration)}</td>
            </tr>
          ))}
        </tbody>
      </table>
      {study.history.length > MOST ? (
        <p class="study-none">
          The first {MOST} of {study.history.length} trials.
        </p>
      ) : null}
    </section>
  );
}

function resultOf(trial: Trial): string {
  const phase = phaseOf(trial);
  if (phase !== "pruned" || trial.pruned_value === null) return phase;
  const at = trial.pruned_at === null ? "" : ` at ${rounded(trial.pruned_at)}`;
  return `pruned${at}, with ${rounded(trial.pruned_value)}`;
}
