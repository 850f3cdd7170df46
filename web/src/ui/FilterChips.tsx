import { useEffect, useId, useRef, useState } from "preact/hooks";
import { navigate, route, withQuery } from "../app/route";
import {
  type Condition,
  conditionsOf,
  type FilterWord,
  FREE,
  parsed,
  queryOf,
  suggestions,
  withCondition,
} from "../lists/conditions";
import "./FilterChips.css";

export interface FilterProps {
  /** The words that can be conditions here, in the order of their chips. */
  readonly words: readonly FilterWord[];
  /** Words whose conditions have no chip, because something else shows them. */
  readonly hidden?: readonly string[];
}

/** The conditions of the list in the address. */
export function useConditions(words: readonly FilterWord[]) {
  const names = words.map(({ word }) => word);
  const present = conditionsOf(route.value.query, names);
  const change = (conditions: readonly Condition[]) =>
    navigate(withQuery({ ...queryOf(conditions, names), cursor: null }));
  return {
    present,
    add: (condition: Condition) => change(withCondition(present, condition, words)),
    remove: (condition: Condition) => change(present.filter((one) => one !== condition)),
    clear: () => change([]),
  };
}

/** The conditions of a list, one chip each, and a field for another one. */
export function FilterChips({ words, hidden = [] }: FilterProps) {
  const { present, add, remove } = useConditions(words);
  const shown = present.filter(({ word }) => !hidden.includes(word));
  return (
    <div class="filter-chips">
      {shown.map((condition) => (
        <Chip key={`${condition.word}=${condition.value}`} condition={condition} onRemove={remove} />
      ))}
      <FilterField
        words={words}
        present={present}
        onAdd={add}
        onRemoveLast={() => shown.length && remove(shown[shown.length - 1] as Condition)}
      />
    </div>
  );
}

/** One condition, with a button that removes it. */
export function Chip({ condition, onRemove }: { condition: Condition; onRemove(one: Condition): void }) {
  const { word, value } = condition;
  return (
    <span class="filter-chip">
      <span class="filter-word">{word}</span>
      <b dir="auto">{value}</b>
      <button type="button" aria-label={`Remove ${word} ${value}`} onClick={() => onRemove(condition)}>
        <svg viewBox="0 0 8 8" width="8" height="8" aria-hidden="true" stroke="currentColor">
          <path d="m1 1 6 6m0-6-6 6" />
        </svg>
      </button>
    </span>
  );
}

interface FieldProps {
  readonly words: readonly FilterWord[];
  readonly present: readonly Condition[];
  onAdd(condition: Condition): void;
  onRemoveLast(): void;
}

function FilterField({ words, present, onAdd, onRemoveLast }: FieldProps) {
  const [typed, setTyped] = useState("");
  const [isOpen, setOpen] = useState(false);
  const [at, setAt] = useState(-1);
  const field = useRef<HTMLInputElement>(null);
  const box = useRef<HTMLDivElement>(null);
  const id = useId();
  const offered = isOpen ? suggestions(typed, words, present) : [];
  const close = () => {
    setOpen(false);
    setAt(-1);
  };
  useEffect(() => {
    if (!isOpen) return;
    const leave = (event: PointerEvent) => {
      if (event.target instanceof Node && !box.current?.contains(event.target)) close();
    };
    addEventListener("pointerdown", leave);
    return () => removeEventListener("pointerdown", leave);
  }, [isOpen]);
  const type = (text: string) => {
    setTyped(text);
    setOpen(true);
    setAt(-1);
  };
  const take = (condition: Condition | null | undefined) => {
    if (!condition) return;
    if (!condition.value) return type(`${condition.word} `);
    type("");
    onAdd(condition);
  };
  const press = (event: KeyboardEvent) => {
    const step = event.key === "ArrowDown" ? 1 : event.key === "ArrowUp" ? -1 : 0;
    if (step) {
      event.preventDefault();
      setOpen(true);
      setAt(
        offered.length ? (at + step + offered.length + (at < 0 && step < 0 ? 1 : 0)) % offered.length : -1,
      );
    } else if (event.key === "Enter") {
      event.preventDefault();
      take(offered[at] ?? parsed(typed, words));
    } else if (event.key === "Escape") {
      event.preventDefault();
      setTyped("");
      close();
      field.current?.blur();
    } else if (event.key === "Backspace" && !typed) {
      onRemoveLast();
    } else if (event.key === "Tab") {
      close();
    }
  };
  const names = words.map(({ word }) => word).filter((word) => word !== "status" && word !== FREE);
  return (
    <div class="filter-field" ref={box}>
      <span aria-hidden="true">+</span>
      <input
        ref={field}
        type="text"
        role="combobox"
        aria-label="Add a condition"
        aria-expanded={offered.length > 0}
        aria-controls={id}
        aria-autocomplete="list"
        aria-activedescendant={at >= 0 ? `${id}-${at}` : undefined}
        autocomplete="off"
        spellcheck={false}
        placeholder={names.slice(0, 4).join(", ")}
        value={typed}
        onInput={(event) => type(event.currentTarget.value)}
        onFocus={() => setOpen(true)}
        onKeyDown={press}
      />
      <div id={id} role="listbox" aria-label="Conditions" class="filter-options" hidden={!offered.length}>
        {offered.map((one, place) => (
          <div
            key={`${one.word}=${one.value}`}
            id={`${id}-${place}`}
            role="option"
            tabIndex={-1}
            aria-selected={place === at}
            onPointerDown={(event) => {
              event.preventDefault();
              take(one);
              field.current?.focus();
            }}
          >
            <span class="filter-word">{one.word}</span> <b dir="auto">{one.value || "…"}</b>
          </div>
        ))}
      </div>
    </div>
  );
}
