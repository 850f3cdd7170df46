import { RequestError } from "../api/client";

/** What failed, with the server's message and remedy. */
export function ErrorNote({ error, retry }: { error: unknown; retry?: () => void }) {
  const message = error instanceof Error ? error.message : String(error);
  const hint = error instanceof RequestError ? error.hint : null;
  return (
    <div class="error-note" role="alert">
      <p>{message}</p>
      {hint ? <p>{hint}</p> : null}
      {retry ? (
        <button type="button" onClick={retry}>
          Try again
        </button>
      ) : null}
    </div>
  );
}
