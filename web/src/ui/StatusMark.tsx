import "./StatusMark.css";

export type Status =
  | "PENDING"
  | "SUBMITTED"
  | "RUNNING"
  | "SUCCEEDED"
  | "COMPLETED"
  | "FAILED"
  | "CANCELLED"
  | "SKIPPED"
  | "UNKNOWN"
  | "INTERRUPTED";

export interface StatusMarkProps {
  readonly status: string;
  readonly size?: number;
  /** Of a task: the reason for its status. A trial that was pruned has a shape of its own. */
  readonly reason?: string | null;
}

/** The shape and colour of a status; its word is its label. */
export function StatusMark({ status, reason = null, size = 14 }: StatusMarkProps) {
  const isPruned = status === "SUCCEEDED" && reason === PRUNED;
  return (
    <svg
      class={`status-mark status-${isPruned ? PRUNED : status}`}
      viewBox="0 0 16 16"
      width={size}
      height={size}
      role="img"
      aria-label={isPruned ? `${status}, ${PRUNED}` : status}
    >
      <Shape status={isPruned ? PRUNED : status} />
    </svg>
  );
}

/** The mark of a status with its word beside it. */
export function StatusWord({ status }: { status: string }) {
  return (
    <span class={`status-word status-${status}`}>
      <StatusMark status={status} />
      <span aria-hidden="true">{status}</span>
    </span>
  );
}

const PRUNED = "pruned";
const STROKE = { fill: "none", stroke: "currentColor" } as const;
const OCTAGON = "M5.1 1.2h5.8l4 4v5.6l-4 4H5.1l-4-4V5.2z";

function Shape({ status }: { status: string }) {
  switch (status) {
    case "PENDING":
      return <circle cx="8" cy="8" r="5.25" stroke-width="1.5" {...STROKE} />;
    case "SUBMITTED":
      return (
        <>
          <circle cx="8" cy="8" r="5.25" stroke-width="1.5" {...STROKE} />
          <path d="M8 8V2.75A5.25 5.25 0 0 1 13.25 8z" fill="currentColor" />
        </>
      );
    case "RUNNING":
      return (
        <>
          <circle class="status-halo" cx="8" cy="8" r="7.5" fill="currentColor" />
          <circle cx="8" cy="8" r="4.5" fill="currentColor" />
        </>
      );
    case PRUNED:
      return <path d="M2.6 4h10.8L8 12.8z" stroke-width="1.5" stroke-linejoin="round" {...STROKE} />;
    case "SUCCEEDED":
    case "COMPLETED":
      return (
        <path
          d="M3 8.6 6.4 12 13 4.6"
          stroke-width="2"
          stroke-linecap="round"
          stroke-linejoin="round"
          {...STROKE}
        />
      );
    case "FAILED":
      return (
        <>
          <path d={OCTAGON} fill="currentColor" />
          <path
            class="status-cut"
            d="m5.6 5.6 4.8 4.8m0-4.8-4.8 4.8"
            stroke-width="1.8"
            stroke-linecap="round"
            fill="none"
          />
        </>
      );
    case "CANCELLED":
      return <rect x="3" y="3" width="10" height="10" rx="1.5" fill="currentColor" />;
    case "SKIPPED":
      return <circle cx="8" cy="8" r="5.25" stroke-width="1.5" stroke-dasharray="2 2.12" {...STROKE} />;
    case "INTERRUPTED":
      return <path d="M5.3 3v10m5.4-10v10" stroke-width="2.6" {...STROKE} />;
    default:
      return (
        <>
          <path d="M8 1.4 14.6 8 8 14.6 1.4 8z" stroke-width="1.4" stroke-linejoin="round" {...STROKE} />
          <path d="M6.4 6.6c0-2 3.2-2 3.2 0 0 1.2-1.6 1.2-1.6 2.4m0 1.6v.4" stroke-width="1.4" {...STROKE} />
        </>
      );
  }
}
