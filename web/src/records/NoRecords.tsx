import { Commands } from "../lists/Commands";

const PROGRAM = `from nemorun_cli import Experiment

with Experiment("me/first/try") as experiment:
    experiment.params.set(lr=0.1)
    experiment.metrics("train").log(step=0, loss=1.0)`;

/** What the list of records says before there is any. */
export function NoRecords() {
  return (
    <div class="empty-list">
      <h1>No records yet</h1>
      <p>A program that tracks something makes one, and it appears here by itself.</p>
      <pre class="empty-program">{PROGRAM}</pre>
      <p class="empty-small">In a task of an experiment, Experiment() needs no prefix.</p>
      <Commands commands={["exp init hello", "exp run hello.yaml"]} />
    </div>
  );
}
