import { withQuery } from "../app/route";
import { count } from "../ui/format";

const FEW = 12; // that are shown at once

export interface FoldersProps {
  /** The prefix of the list; empty for all records. */
  readonly folder: string;
  readonly folders: readonly { readonly name: string; readonly records: number }[];
}

/** The way up from a prefix, and the ways down. */
export function Folders({ folder, folders }: FoldersProps) {
  const parts = folder ? folder.split("/") : [];
  const to = (prefix: string) => withQuery({ prefix: prefix || null, cursor: null });
  const ways = folders.filter(({ records }, _, all) => records > 1 || all.length <= FEW);
  const isLeaf = folders.length === 1 && folders[0]?.records === 1;
  return (
    <nav class="record-folders" aria-label="Prefixes">
      <ol class="record-way">
        <li>
          <a href={to("")} aria-current={parts.length ? undefined : "true"}>
            all
          </a>
        </li>
        {parts.map((part, place) => (
          <li key={parts.slice(0, place + 1).join("/")}>
            <span aria-hidden="true">/</span>
            <a
              href={to(parts.slice(0, place + 1).join("/"))}
              aria-current={place === parts.length - 1 ? "true" : undefined}
              dir="auto"
            >
              {part}
            </a>
          </li>
        ))}
      </ol>
      {isLeaf ? null : (
        <ul class="record-ways">
          {ways.slice(0, FEW).map(({ name, records }) => (
            <li key={name}>
              <a href={to([...parts, name].join("/"))}>
                <bdi>{name}</bdi> <span class="segment-count">{count(records)}</span>
              </a>
            </li>
          ))}
          {ways.length > FEW ? <li class="segment-count">{count(ways.length - FEW)} more</li> : null}
        </ul>
      )}
    </nav>
  );
}
