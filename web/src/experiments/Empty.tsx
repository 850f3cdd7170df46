import type { ListDocument } from "../api/documents/list";
import { useDocument } from "../api/useDocument";
import { type Condition, command, type FilterWord, inWords } from "../lists/conditions";
import { CommandHint } from "../ui/CommandHint";
import { CopyButton } from "../ui/CopyButton";
import { EmptyState } from "../ui/EmptyState";
import { Chip, useConditions } from "../ui/FilterChips";
import { count } from "../ui/format";
import "./Empty.css";

/** What a list says before there is anything. */
export function NoExperiments() {
  return (
    <EmptyState>
      <div class="empty-list">
        <h1>No experiments yet</h1>
        <p>Start one, and it appears here by itself.</p>
        <Commands commands={["exp init hello", "exp run hello.yaml"]} />
        <p class="empty-small">
          This page shows what lies in the home of its server: <code>~/.nemo_run</code>, or{" "}
          <code>$NEMORUN_HOME</code>. Another folder: <code>NEMORUN_HOME=… exp serve</code>
        </p>
      </div>
    </EmptyState>
  );
}

/** Commands to type one after the other. */
export function Commands({ commands }: { commands: readonly string[] }) {
  return (
    <ul class="empty-commands">
      {commands.map((one) => (
        <li key={one}>
          <span aria-hidden="true">$</span>
          <code>{one}</code>
          <CopyButton text={one} label={`Copy ${one}`} />
        </li>
      ))}
    </ul>
  );
}

export interface NoneProps {
  readonly words: readonly FilterWord[];
  readonly conditions: readonly Condition[];
  /** The options of the command. */
  readonly options: readonly string[];
}

/** What a list says if nothing meets its conditions. */
export function NoneMatches({ words, conditions, options }: NoneProps) {
  const all = useDocument<ListDocument>("/v1/views/experiments?limit=1", ["experiments"]).document?.total;
  const { remove, clear } = useConditions(words);
  const hint = command(["exp", "list"], conditions, options);
  return (
    <EmptyState>
      <div class="empty-list">
        <h2>{all === undefined ? "None matches" : `None of ${count(all)} matches`}</h2>
        <p>No experiment {inWords(conditions)}.</p>
        <p class="empty-chips">
          {conditions.map((one) => (
            <Chip key={`${one.word}=${one.value}`} condition={one} onRemove={remove} />
          ))}
          <button type="button" class="button small" onClick={clear}>
            Clear all
          </button>
        </p>
        {hint === null ? null : <CommandHint command={hint} />}
      </div>
    </EmptyState>
  );
}
