import { useMemo, useState } from "preact/hooks";
import { useWidth } from "../sweep/useWidth";
import { rounded } from "../sweep/values";
import { count } from "../ui/format";
import { visibleText } from "../ui/visibleText";
import { TrialKey } from "./marks";
import { bestLine, pointsOf, type Study, sharesOf, winnersOf } from "./study";
import { ValuePlot } from "./ValuePlot";
import "../sweep/SweepPanel.css";
import "./search.css";

export interface StudyFiguresProps {
  readonly study: Study;
  /** The task that is shown in all figures, as in the table. */
  readonly lifted?: string | null;
  onLift?(task: string | null): void;
}

const NONE: ReadonlySet<number> = new Set();

/** The history of a search, its values over each param, and how important these are. */
export function StudyFigures({ study, lifted, onLift }: StudyFiguresProps) {
  const [own, setOwn] = useState<string | null>(null);
  const [goal, setGoal] = useState(0);
  const shown = Math.min(goal, study.metrics.length - 1);
  const points = useMemo(() => pointsOf(study, shown), [study, shown]);
  const winners = useMemo(() => winnersOf(study), [study]);
  const complete = useMemo(() => points.filter((point) => point.phase === "complete"), [points]);
  const figures = {
    study,
    winners: winners.size ? winners : NONE,
    metric: study.metrics[shown] ?? "",
    lifted: lifted ?? own,
    onLift: (task: string | null) => {
      setOwn(task);
      onLift?.(task);
    },
  };
  return (
    <div class="study-figures">
      <section class="sweep-panel study-history" aria-label={`History of ${study.id}`}>
        <div class="sweep-panel-head">
          <h2>History</h2>
          <GoalChoice study={study} goal={shown} onChoose={setGoal} />
          <span class="sweep-panel-note">{summary(study)}</span>
          <span class="sweep-panel-end study-legend">
            <TrialKey phase="complete" label="complete" />
            {study.pruner ? <TrialKey phase="pruned" label="pruned, at its last value" /> : null}
            <TrialKey phase="complete" label={study.goals.length > 1 ? "not dominated" : "best"} isBest />
          </span>
        </div>
        {points.length ? (
          <History {...figures} points={points} />
        ) : (
          <p class="study-none">No trial has a value yet.</p>
        )}
      </section>
      {complete.length ? (
        <section class="sweep-panel" aria-label={`Params of ${study.id}`}>
          <div class="sweep-panel-head">
            <h2>Params</h2>
            <span class="sweep-panel-note">
              <bdi class="mono">{visibleText(figures.metric)}</bdi> of complete trials over each param
            </span>
          </div>
          <div class="study-slices">
            {study.params.map((param) => (
              <Slice
                key={param.name}
                {...figures}
                points={complete}
                param={param.name}
                isParam={param.kind !== "float"}
                log={param.kind === "choices" ? undefined : param.log}
              />
            ))}
          </div>
        </section>
      ) : null}
      <section class="sweep-panel" aria-label={`Importances of ${study.id}`}>
        <div class="sweep-panel-head">
          <h2>Importances</h2>
          <span class="sweep-panel-note">the share of each param in the differences of the values</span>
        </div>
        {study.importances ? (
          <Importances study={study} />
        ) : (
          <p class="study-none">Not known: {study.importances_message}.</p>
        )}
      </section>
    </div>
  );
}

type FigureProps = Omit<
  Parameters<typeof ValuePlot>[0],
  "at" | "title" | "width" | "height" | "line" | "label" | "isParam"
>;

function History(props: FigureProps) {
  const { element, width } = useWidth<HTMLDivElement>(640);
  const line = props.metric === props.study.metrics[0] ? bestLine(props.study) : [];
  const last = line.at(-1);
  const best = last ? `; the best is ${rounded(last.value)}, of trial ${last.number}` : "";
  return (
    <div ref={element}>
      <ValuePlot
        {...props}
        at={(point) => point.trial.number}
        title="trial"
        isParam={false}
        width={width}
        height={260}
        line={line}
        label={`${props.metric} of ${count(props.points.length)} trials by number${best}`}
      />
    </div>
  );
}

type SliceProps = FigureProps & { param: string; isParam: boolean; log: boolean | undefined };

function Slice({ param, ...props }: SliceProps) {
  const { element, width } = useWidth<HTMLDivElement>(300);
  const points = useMemo(
    () => props.points.filter((point) => Object.hasOwn(point.trial.params, param)),
    [props.points, param],
  );
  return (
    <div ref={element}>
      <ValuePlot
        {...props}
        points={points}
        at={(point) => point.trial.params[param]}
        title={param}
        width={width}
        height={190}
        label={`${props.metric} over ${param}, of ${count(points.length)} trials`}
      />
    </div>
  );
}

function Importances({ study }: { study: Study }) {
  const shares = sharesOf(study);
  return (
    <ul class="study-shares">
      {shares.map(({ name, share }) => (
        <li key={name}>
          <bdi class="mono">{visibleText(name)}</bdi>
          <span class="study-bar" aria-hidden="true">
            <span style={{ width: `${Math.max(0, Math.min(1, share)) * 100}%` }} />
          </span>
          <span class="study-share">{Math.round(share * 100)} %</span>
        </li>
      ))}
    </ul>
  );
}

function GoalChoice({ study, goal, onChoose }: { study: Study; goal: number; onChoose(goal: number): void }) {
  if (study.metrics.length === 1) {
    return <bdi class="mono">{visibleText(`${study.goals[0]} ${study.metrics[0]}`)}</bdi>;
  }
  return (
    <label class="choice-chip">
      goal
      <select value={String(goal)} onChange={(event) => onChoose(Number(event.currentTarget.value))}>
        {study.metrics.map((metric, index) => (
          <option key={metric} value={String(index)}>
            {study.goals[index]} {visibleText(metric)}
          </option>
        ))}
      </select>
    </label>
  );
}

/** `25 complete · 12 pruned · 3 failed · 2 running of 60 · best 0.0312`. */
function summary(study: Study): string {
  const counts = (["complete", "pruned", "failed", "running"] as const)
    .filter((phase) => study.counts[phase])
    .map((phase) => `${count(study.counts[phase])} ${phase}`);
  const best = study.best
    ? [`best ${study.best.values.map((value) => rounded(value, 6)).join(", ")} of trial ${study.best.number}`]
    : study.front.length
      ? [`${count(study.front.length)} not dominated`]
      : [];
  return `${[...counts, ...best].join(" · ")} · ${study.trials} at most`;
}
