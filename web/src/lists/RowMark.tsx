import { toggleMark } from "./marks";

/** The box of a row that marks it for Compare; it is seen on the picked row, and once anything is marked. */
export function RowMark({ id, isMarked, isShown }: { id: string; isMarked: boolean; isShown: boolean }) {
  return (
    <input
      type="checkbox"
      class={`row-mark${isShown ? " row-mark-shown" : ""}`}
      tabIndex={-1}
      aria-label={`Mark ${id.split("/").at(-1)} for Compare`}
      title="Mark for Compare (x)"
      checked={isMarked}
      onChange={() => toggleMark(id)}
    />
  );
}
