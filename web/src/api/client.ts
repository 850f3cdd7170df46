// Requests to the server, with the token of the session.
import { type ReadonlySignal, signal } from "@preact/signals";
import { store, stored } from "./stored";

const SESSION = "exp.session";

const current = signal<string | null>(stored(SESSION));
const over = signal<number | null>(null);

/** The token of the session; null while nobody is signed in. */
export const session: ReadonlySignal<string | null> = current;
/** When the server refused the token of the session, in milliseconds since 1970; null while it is valid. */
export const sessionOver: ReadonlySignal<number | null> = over;

/** Uses the token of a new session. */
export function beginSession(token: string): void {
  store(SESSION, token);
  over.value = null;
  current.value = token;
}

/** Forgets the session of this tab and of the others. */
export function endSession(): void {
  store(SESSION, null);
  over.value = null;
  current.value = null;
}

function refuseSession(token: string): void {
  if (stored(SESSION) === token) store(SESSION, null);
  over.value = Date.now();
  current.value = null;
}

if (typeof window !== "undefined") {
  // Another tab has signed in or out.
  addEventListener("storage", ({ key, newValue }) => {
    if ((key !== SESSION && key !== null) || newValue === current.peek()) return;
    over.value = newValue === null && current.peek() !== null ? Date.now() : null;
    current.value = newValue;
  });
}

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
  /** Another token than that of the session; null for none. */
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
  if (answer.status === 401 && token && token === session.peek()) refuseSession(token);
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
