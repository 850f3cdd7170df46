import { Commands } from "../lists/Commands";

/** What the list of experiments says before there is any. */
export function NoExperiments() {
  return (
    <div class="empty-list">
      <h1>No experiments yet</h1>
      <p>Start one, and it appears here by itself.</p>
      <Commands commands={["exp init hello", "exp run hello.yaml"]} />
      <p class="empty-small">
        This page shows what lies in <code>$NEMORUN_HOME</code>, without it in <code>~/.nemo_run</code>.
        Another folder: <code>NEMORUN_HOME=… exp serve</code>
      </p>
    </div>
  );
}
