import { labelText } from "../ui/shownTexts";

/** The tags of a row, with dots between them. */
export function Tags({ tags }: { tags: readonly string[] }) {
  return (
    <span class="row-tags" title={tags.length ? tags.join(", ") : undefined}>
      {tags.map((tag, place) => (
        <span key={tag}>
          {place ? <span class="row-tags-dot"> · </span> : null}
          <bdi>{labelText(tag, 100)}</bdi>
        </span>
      ))}
    </span>
  );
}
