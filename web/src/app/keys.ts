// The keys of the views: each says which it has while it is shown, and the help lists them.
import { computed, signal } from "@preact/signals";
import { useLayoutEffect, useRef } from "preact/hooks";
import { store, stored } from "../api/stored";

export const GROUPS = ["Anywhere", "Lists and tables", "One experiment", "Log", "Curves", "Dialogs"] as const;

export interface Key {
  /**
   * The keys as `KeyboardEvent.key` names them: `j`, `Y` (with Shift), `Escape`, `ArrowLeft`, `Ctrl+f` (on a
   * Mac, Command), `g e` one after the other. Several that do the same are separated by commas: `j,ArrowDown`.
   */
  readonly keys: string;
  /** What it does, for the help: `next row`. Without it, the help does not list it. */
  readonly label?: string;
  readonly group: (typeof GROUPS)[number];
  /** False if it had nothing to do: then the next one with this key, or the browser, does it. */
  run(event: KeyboardEvent): unknown;
}

const SETTING = "exp.keys";
const SEQUENCE = 1_500; // milliseconds until the first of two keys is forgotten
const FIELDS = "input, textarea, select, [contenteditable], [role=textbox]";
const PRESSED = `a[href], button, summary, [role=button], [role=tab], ${FIELDS}`;

const shown = signal<readonly (readonly Key[])[]>([]);
const areOn = signal(stored(SETTING) !== "off");

/** The keys of what is shown now. */
export const keysNow = computed(() => shown.value.flat().filter((key) => key.label));
/** Whether keys that write a character do anything; Escape, arrows and Enter always do. */
export const characterKeys = computed(() => areOn.value);

export function switchCharacterKeys(isOn: boolean): void {
  areOn.value = isOn;
  store(SETTING, isOn ? null : "off");
}

/**
 * Has these keys while the component is shown; of two with the same key, that shown last has it. They are there
 * as soon as the component is, since the next key may follow at once.
 */
export function useKeys(keys: readonly Key[]): void {
  const latest = useRef(keys);
  latest.current = keys;
  const listed = keys.map((key) => `${key.keys}\t${key.label ?? ""}`).join("\n");
  useLayoutEffect(() => {
    void listed;
    const mine = latest.current.map((key, index) => ({
      ...key,
      run: (event: KeyboardEvent) => latest.current[index]?.run(event),
    }));
    shown.value = [...shown.peek(), mine];
    return () => {
      shown.value = shown.peek().filter((others) => others !== mine);
    };
  }, [listed]);
}

/** The name of the key of an event, as `Key` writes it. */
export function nameOf({ key, ctrlKey, metaKey, altKey }: KeyboardEvent): string {
  return `${ctrlKey || metaKey ? "Ctrl+" : ""}${altKey ? "Alt+" : ""}${key}`;
}

/** Whether a key writes a character, alone. */
export function isCharacter(name: string): boolean {
  return [...name].length === 1 && name !== " ";
}

function alternatives({ keys }: Key): string[] {
  return keys === "," ? [keys] : keys.split(",");
}

let first = "";
let firstTimer: ReturnType<typeof setTimeout> | undefined;

function press(event: KeyboardEvent): void {
  if (event.defaultPrevented || event.isComposing || document.querySelector("dialog[open]")) return;
  const target = event.composedPath()[0];
  const name = nameOf(event);
  if (target instanceof Element && isTaken(target, name)) return;
  if (isCharacter(name) && !areOn.peek()) return;
  const sequence = first ? `${first} ${name}` : name;
  clearTimeout(firstTimer);
  first = "";
  const all = shown.peek().flat().reverse();
  for (const key of all) {
    if (alternatives(key).includes(sequence) && key.run(event) !== false) {
      event.preventDefault();
      return;
    }
  }
  if (sequence === name && all.some((key) => alternatives(key).some((one) => one.startsWith(`${name} `)))) {
    first = name;
    firstTimer = setTimeout(() => {
      first = "";
    }, SEQUENCE);
  }
}

/** Whether the key belongs to the element that has the focus. */
function isTaken(element: Element, name: string): boolean {
  if (element.closest(FIELDS)) return name !== "Escape" && !name.startsWith("Ctrl+");
  return (name === "Enter" || name === " ") && element.closest(PRESSED) !== null;
}

/** Follows the keyboard. */
export function followKeys(): () => void {
  document.addEventListener("keydown", press);
  return () => document.removeEventListener("keydown", press);
}
