import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { experimentDocument } from "../api/addresses";
import type { CancelDocument } from "../api/documents/cancel";
import type { SpecDocument } from "../api/documents/spec";
import { useDocument } from "../api/useDocument";
import { whoami } from "../api/whoami";
import { CommandHint } from "../ui/CommandHint";
import { ConfirmDialog } from "../ui/ConfirmDialog";
import { now } from "../ui/clock";
import { count } from "../ui/format";
import { commandLine } from "../ui/quoting";
import { StatusMark } from "../ui/StatusMark";
import { cancelPlan, openGroups, stops } from "./cancelPlan";
import type { DialogProps } from "./dialogs";
import { experimentAction, useAction } from "./useAction";

const SHOWN = 2; // groups with a button of their own

/** Asks what to cancel, and says in counts what that does. */
export function CancelDialog({ experiment, status, task, onLeave }: DialogProps) {
  const act = useAction();
  const [word, setWord] = useState<string | null>(task ?? null);
  const groups = openGroups(status);
  const isTyped = word !== null && !groups.slice(0, SHOWN).some(({ group }) => group === word);
  const spec = useDocument<SpecDocument>(experimentDocument(experiment, "spec")).document;
  const plan = cancelPlan(status, word, { stopOf: stops(spec?.resolved), now: now.value });
  const tasks = word === null ? [] : [word];
  return (
    <ConfirmDialog
      title={`Cancel ${status.id}?`}
      act={`Cancel ${count(plan.cancelled)} ${plan.cancelled === 1 ? "task" : "tasks"}`}
      acting="Cancelling…"
      leave="Keep running"
      isDangerous
      isReady={plan.cancelled > 0}
      onAct={() =>
        act<CancelDocument>(experimentAction(experiment, "cancel"), word === null ? {} : { tasks })
      }
      onLeave={onLeave}
    >
      <fieldset class="action-choice">
        <legend class="action-label">What</legend>
        <Choice isPicked={word === null} onPick={() => setWord(null)}>
          all of it
        </Choice>
        {groups.slice(0, SHOWN).map(({ group, count: number }) => (
          <Choice key={group} isPicked={word === group} onPick={() => setWord(group)}>
            <bdi>{group}</bdi> {count(number)}
          </Choice>
        ))}
        <Choice isPicked={isTyped} onPick={() => setWord(isTyped ? word : "")}>
          one task or glob…
        </Choice>
      </fieldset>
      {isTyped ? (
        <label class="action-field">
          <span>Task, group or glob</span>
          <input
            type="text"
            class="mono"
            autocomplete="off"
            spellcheck={false}
            value={word ?? ""}
            list="cancel-tasks"
            onInput={(event) => setWord(event.currentTarget.value)}
          />
          <datalist id="cancel-tasks">
            {status.tasks.slice(0, 500).map((one) => (
              <option key={one.id} value={one.id} />
            ))}
          </datalist>
        </label>
      ) : null}
      <ul class="action-counts" aria-live="polite">
        {plan.lines.map((line) => (
          <li key={line.text}>
            <StatusMark status={line.status} />
            <b>{count(line.count)}</b>
            <span>{line.text}</span>
          </li>
        ))}
        {plan.lines.length ? null : <li>No task has this name.</li>}
      </ul>
      <p class="action-note">
        It can go on later with Resume. The ledger notes that {whoami.value?.user ?? "you"} cancelled it.
      </p>
      <CommandHint command={commandLine("exp", "cancel", status.id, ...tasks)} />
    </ConfirmDialog>
  );
}

interface ChoiceProps {
  readonly isPicked: boolean;
  readonly children: ComponentChildren;
  onPick(): void;
}

function Choice({ isPicked, children, onPick }: ChoiceProps) {
  return (
    <button type="button" aria-pressed={isPicked} onClick={onPick}>
      {children}
    </button>
  );
}
