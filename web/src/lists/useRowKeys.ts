import { useKeys } from "../app/keys";

export interface RowKeys {
  /** The rows in their order. */
  readonly ids: readonly string[];
  readonly picked: string | null;
  onPick(id: string): void;
  onOpen(id: string): void;
  onMark(id: string): void;
}

const GROUP = "Lists and tables";

/** Moves through the rows of a list: `j k` and, in its table, arrows; Enter opens, `x` marks. */
export function useRowKeys({ ids, picked, onPick, onOpen, onMark }: RowKeys): void {
  /** The row that has the focus, else the picked one. */
  const at = () => {
    const row = document.activeElement?.closest<HTMLElement>("tr[data-row]")?.dataset.row;
    const focused = row === undefined ? -1 : ids.indexOf(row);
    return focused < 0 && picked !== null ? ids.indexOf(picked) : focused;
  };
  const move = (to: number) => {
    const id = ids[Math.max(0, Math.min(ids.length - 1, to))];
    if (id === undefined) return false;
    onPick(id);
    focusRow(id);
    return true;
  };
  const inTable = (act: () => boolean) => (event: KeyboardEvent) =>
    event.target instanceof Element && event.target.closest("table") ? act() : false;
  const present = (act: (id: string) => void) => {
    const id = ids[at()];
    if (id === undefined) return false;
    act(id);
    return true;
  };
  useKeys([
    { keys: "j", label: "next row", group: GROUP, run: () => move(at() + 1) },
    { keys: "k", label: "row before", group: GROUP, run: () => move(Math.max(0, at() - 1)) },
    { keys: "Enter", label: "open the row", group: GROUP, run: () => present(onOpen) },
    { keys: "x", label: "mark the row for Compare", group: GROUP, run: () => present(onMark) },
    { keys: "ArrowDown", group: GROUP, run: inTable(() => move(at() + 1)) },
    { keys: "ArrowUp", group: GROUP, run: inTable(() => move(Math.max(0, at() - 1))) },
    { keys: "Home", group: GROUP, run: inTable(() => move(0)) },
    { keys: "End", group: GROUP, run: inTable(() => move(ids.length - 1)) },
  ]);
}

/** Puts the focus on the link of a row, and the row on the screen. */
function focusRow(id: string): void {
  const row = document.querySelector(`tr[data-row="${CSS.escape(id)}"]`);
  row?.querySelector<HTMLElement>("a")?.focus({ preventScroll: true });
  row?.scrollIntoView({ block: "nearest" });
}
