import { useEffect, useRef } from "preact/hooks";

export interface RowKeys {
  /** The rows in their order. */
  readonly ids: readonly string[];
  readonly picked: string | null;
  onPick(id: string): void;
  onOpen(id: string): void;
  onMark(id: string): void;
}

const FIELDS = "input, textarea, select, [contenteditable], dialog";
const CONTROLS = `${FIELDS}, a, button, summary`;

/** Moves through the rows of a list: `j k` and arrows, Home and End, Enter opens, `x` marks. */
export function useRowKeys(keys: RowKeys): void {
  const latest = useRef(keys);
  latest.current = keys;
  useEffect(() => {
    const press = (event: KeyboardEvent) => {
      const target = event.target instanceof Element ? event.target : null;
      if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
      if (document.querySelector("dialog[open]") || target?.closest(FIELDS)) return;
      const isInTable = target?.closest("table") !== null && target !== null;
      const { ids, picked, onPick, onOpen, onMark } = latest.current;
      const at = picked === null ? -1 : ids.indexOf(picked);
      const move = (to: number) => {
        const id = ids[Math.max(0, Math.min(ids.length - 1, to))];
        if (id === undefined) return;
        event.preventDefault();
        onPick(id);
      };
      const present = ids[at];
      if (event.key === "j" || (event.key === "ArrowDown" && isInTable)) move(at + 1);
      else if (event.key === "k" || (event.key === "ArrowUp" && isInTable)) move(at < 0 ? 0 : at - 1);
      else if (event.key === "Home" && isInTable) move(0);
      else if (event.key === "End" && isInTable) move(ids.length - 1);
      else if (event.key === "x" && present !== undefined) onMark(present);
      else if (event.key === "Enter" && present !== undefined && !target?.closest(CONTROLS)) onOpen(present);
    };
    addEventListener("keydown", press);
    return () => removeEventListener("keydown", press);
  }, []);
}

/** Puts the focus on the link of a row, and the row on the screen. */
export function focusRow(id: string): void {
  const row = document.querySelector(`tr[data-row="${CSS.escape(id)}"]`);
  row?.querySelector<HTMLElement>("a")?.focus({ preventScroll: true });
  row?.scrollIntoView({ block: "nearest" });
}
