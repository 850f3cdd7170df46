// Requests to the server, with the token of the session.
import { effect, signal } from "@preact/signals";

const SESSION = "exp.session";

/** The token of the session; null until somebody has signed in. */
export const session = signal<string | null>(localStorage.getItem(SESSION));

effect(() => {
  if (session.value === null) localStorage.removeItem(SESSION);
  else localStorage.setItem(SESSION, session.value);
});

/** What the server refused, or that it did not answer (`status` 0). */
export class RequestError extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly hint: string | null = null,
  ) {
    super(message);
  }
}

export interface Asked {
  readonly method?: "GET" | "POST";
  readonly body?: object;
  readonly headers?: Record<string, string>;
  readonly signal?: AbortSignal;
  /** Another token than that of the session. */
  readonly token?: string | null;
}

/** The answer to a request, whatever its content. */
export async function send(path: string, asked: Asked = {}): Promise<Response> {
  const token = asked.token === undefined ? session.peek() : asked.token;
  const headers: Record<string, string> = { Accept: "application/json", ...asked.headers };
  if (token) headers.Authorization = `Bearer ${token}`;
  if (asked.body) headers["Content-Type"] = "application/json";
  let answer: Response;
  try {
    answer = await fetch(path, {
      method: asked.method ?? "GET",
      headers,
      body: asked.body ? JSON.stringify(asked.body) : null,
      signal: asked.signal ?? null,
      credentials: "omit",
      redirect: "error",
      referrerPolicy: "no-referrer",
      cache: "no-store",
    });
  } catch (error) {
    if (asked.signal?.aborted) throw error;
    throw new RequestError(0, "no_answer", "The server does not answer.");
  }
  if (answer.ok || answer.status === 304) return answer;
  if (answer.status === 401 && token && token === session.peek()) session.value = null;
  throw await refusal(answer);
}

/** The document that answers a request. */
export async function ask<Document>(path: string, asked: Asked = {}): Promise<Document> {
  return (await send(path, asked)).json();
}

async function refusal(answer: Response): Promise<RequestError> {
  try {
    const { code, message, hint } = await answer.json();
    return new RequestError(answer.status, code, message, hint ?? null);
  } catch {
    return new RequestError(answer.status, "no_document", `The server answered ${answer.status}.`);
  }
}
