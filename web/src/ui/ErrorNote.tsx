import { RequestError } from "../api/client";
import { CopyButton } from "./CopyButton";

export interface ErrorProps {
  readonly error: unknown;
  /** What failed, if the message does not say it: `The log of train cannot be shown.` */
  readonly what?: string;
  readonly retry?: () => void;
}

/** What failed, with the server's message and remedy, to copy and to try again. */
export function ErrorNote({ error, what, retry }: ErrorProps) {
  const message = error instanceof Error ? error.message : String(error);
  const hint = error instanceof RequestError ? error.hint : null;
  return (
    <div class="error-note" role="alert">
      <div class="error-note-text">
        {what ? <p>{what}</p> : null}
        <p dir="auto">{message}</p>
        {hint ? <p dir="auto">{hint}</p> : null}
      </div>
      {retry ? (
        <button type="button" class="button small" onClick={retry}>
          Try again
        </button>
      ) : null}
      <CopyButton text={detailsOf(error, what)} label="Copy details" />
    </div>
  );
}

function detailsOf(error: unknown, what: string | undefined): string {
  const request = error instanceof RequestError ? [`${error.status} ${error.code}`, error.hint] : [];
  const message = error instanceof Error ? error.message : String(error);
  return [what, message, ...request, location.pathname + location.search].filter(Boolean).join("\n");
}
