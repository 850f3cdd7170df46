import { withQuery } from "../app/route";
import { count } from "../ui/format";
import { StatusMark } from "../ui/StatusMark";
import "./StatusSegments.css";

export interface SegmentsProps {
  /** In their order. */
  readonly statuses: readonly string[];
  readonly counts: Readonly<Record<string, number>>;
  readonly picked: readonly string[];
}

/** The statuses of a list with their counts; each is a link to the entries that have it. */
export function StatusSegments({ statuses, counts, picked }: SegmentsProps) {
  const all = Object.values(counts).reduce((sum, one) => sum + one, 0);
  const shown = statuses.filter((status) => counts[status] || picked.includes(status));
  return (
    <nav class="status-segments" aria-label="Statuses">
      <a href={withQuery({ status: null, cursor: null })} aria-current={picked.length ? undefined : "true"}>
        All <span class="segment-count">{count(all)}</span>
      </a>
      {shown.map((status) => (
        <a
          key={status}
          href={withQuery({
            status: picked.length === 1 && picked[0] === status ? null : status,
            cursor: null,
          })}
          aria-current={picked.includes(status) ? "true" : undefined}
        >
          <StatusMark status={status} />
          {status} <span class="segment-count">{count(counts[status] ?? 0)}</span>
        </a>
      ))}
    </nav>
  );
}
