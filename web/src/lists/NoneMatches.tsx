import { useDocument } from "../api/useDocument";
import { CommandHint } from "../ui/CommandHint";
import { Chip, useConditions } from "../ui/FilterChips";
import { count } from "../ui/format";
import { type Condition, type FilterWord, inWords } from "./conditions";
import "./Empty.css";

export interface NoneProps {
  readonly words: readonly FilterWord[];
  readonly conditions: readonly Condition[];
  /** The command with the same conditions; null if there is none. */
  readonly command: string | null;
  /** The address of the whole list, and the topic of its changes. */
  readonly all: string;
  readonly topic: string;
  /** What is listed: `experiment`. */
  readonly kind: string;
}

/** What a list says if nothing meets its conditions. */
export function NoneMatches({ words, conditions, command, all, topic, kind }: NoneProps) {
  const total = useDocument<{ readonly total?: number }>(all, [topic]).document?.total;
  const { remove, clear } = useConditions(words);
  return (
    <div class="empty-list">
      <h2>{total === undefined ? "None matches" : `None of ${count(total)} matches`}</h2>
      <p dir="auto">
        No {kind} {inWords(conditions)}.
      </p>
      <p class="empty-chips">
        {conditions.map((one) => (
          <Chip key={`${one.word}=${one.value}`} condition={one} onRemove={remove} />
        ))}
        <button type="button" class="button small" onClick={clear}>
          Clear all
        </button>
      </p>
      {command === null ? null : <CommandHint command={command} />}
    </div>
  );
}
