import { useEffect, useRef, useState } from "preact/hooks";
import "./Conditions.css";

export interface ConditionsProps {
  readonly conditions: readonly string[];
  /** What a condition can name. */
  readonly keys: readonly string[];
  onChange(conditions: readonly string[]): void;
}

/** Conditions as chips, in the grammar of `exp compare --where`. */
export function Conditions({ conditions, keys, onChange }: ConditionsProps) {
  const [isAdding, setAdding] = useState(false);
  const field = useRef<HTMLInputElement>(null);
  const opener = useRef<HTMLButtonElement>(null);
  useEffect(() => {
    if (isAdding) field.current?.focus();
  }, [isAdding]);
  const add = () => {
    const text = field.current?.value.trim() ?? "";
    if (text && !conditions.includes(text)) onChange([...conditions, text]);
    setAdding(false);
  };
  return (
    <>
      {conditions.map((text) => (
        <span key={text} class="condition-chip">
          where <bdi class="condition-text">{spaced(text)}</bdi>
          <button
            type="button"
            aria-label={`Remove the condition ${text}`}
            onClick={() => onChange(conditions.filter((each) => each !== text))}
          >
            ×
          </button>
        </span>
      ))}
      {isAdding ? (
        <form
          class="condition-form"
          onSubmit={(event) => {
            event.preventDefault();
            add();
          }}
        >
          <input
            ref={field}
            class="condition-field"
            aria-label="Condition"
            list="condition-keys"
            placeholder="lr<=0.1, optimizer=adam"
            spellcheck={false}
            autocomplete="off"
            onBlur={() => {
              if (!field.current?.value.trim()) setAdding(false);
            }}
            onKeyDown={(event) => {
              if (event.key === "Escape") {
                setAdding(false);
                opener.current?.focus();
                event.stopPropagation();
              } else if (event.key === "Backspace" && !event.currentTarget.value) {
                onChange(conditions.slice(0, -1));
              }
            }}
          />
          <datalist id="condition-keys">
            {keys.map((key) => (
              <option key={key} value={key} />
            ))}
          </datalist>
          <button type="submit" class="button small">
            Add
          </button>
        </form>
      ) : (
        <button type="button" ref={opener} class="condition-add" onClick={() => setAdding(true)}>
          + condition
        </button>
      )}
    </>
  );
}

const SIGNS: Readonly<Record<string, string>> = { ">=": "≥", "<=": "≤", "!=": "≠", "==": "=" };

/** A condition with its operator set off. */
function spaced(text: string): string {
  return text.replace(/\s*(<=|>=|!=|==|=|<|>)\s*/, (_, sign: string) => ` ${SIGNS[sign] ?? sign} `);
}
