// How somebody signs in: with a token that is pasted, or with the one-time token of the printed address.
import { signal } from "@preact/signals";
import { ask, beginSession, endSession, RequestError, session } from "../api/client";
import { userOf } from "../api/whoami";
import { once } from "./fragment";

interface Begun {
  readonly token: string;
}

/** What the sign-in form says above its field. */
export const signInNote = signal<string | null>(null);
/** Whether the token of the address is still being exchanged. */
export const isSigningIn = signal(once !== null);
/** The session of another user, which the address offers. */
export const offered = signal<{
  readonly present: string;
  readonly coming: string;
  readonly token: string;
} | null>(null);

const REFUSED = "Sign in: the token is missing, wrong or expired.";

/** Begins a session with a token; null, or why not. */
export async function signIn(token: string): Promise<string | null> {
  try {
    beginSession((await ask<Begun>("/v1/session", { method: "POST", body: {}, token })).token);
    signInNote.value = null;
    return null;
  } catch (error) {
    if (error instanceof RequestError) return error.status === 401 ? REFUSED : error.message;
    throw error;
  }
}

export async function signOut(): Promise<void> {
  try {
    await ask("/v1/logout", { method: "POST", body: {} });
    signInNote.value = "Signed out.";
  } catch {
    signInNote.value = "Signed out here. The server did not answer: the session ends there by itself.";
  }
  endSession();
}

/** Uses the token of the address, which may come from anybody: it replaces no other user's session unasked. */
async function signInOnce(token: string): Promise<void> {
  const kept = session.peek();
  const present = kept === null ? null : await presentUser(kept);
  let coming: string;
  try {
    coming = (await ask<Begun>("/v1/session", { method: "POST", body: { once: token }, token: null })).token;
  } catch (error) {
    if (!(error instanceof RequestError)) throw error;
    const isUsed = error.status === 401;
    signInNote.value =
      isUsed && present !== null
        ? "This address does not sign in any more."
        : isUsed
          ? REFUSED
          : error.message;
    return;
  }
  if (present === null) {
    beginSession(coming);
    return;
  }
  const { user } = await userOf(coming);
  if (user === present) beginSession(coming);
  else offered.value = { present, coming: user, token: coming };
}

/** The user of the session that the browser has kept; null if it is over. */
async function presentUser(token: string): Promise<string | null> {
  try {
    return (await userOf(token)).user;
  } catch (error) {
    if (error instanceof RequestError && error.status === 401) return null;
    throw error;
  }
}

/** Leaves the session as it is, and ends the one that was offered. */
export function keepSession(): void {
  const token = offered.peek()?.token;
  offered.value = null;
  if (token) ask("/v1/logout", { method: "POST", body: {}, token }).catch(() => {});
}

export function replaceSession(): void {
  const token = offered.peek()?.token;
  if (!token) return;
  beginSession(token);
  location.reload(); // what is shown belongs to the user before
}

if (once !== null) {
  signInOnce(once)
    .catch((error: unknown) => {
      signInNote.value = error instanceof Error ? error.message : String(error);
    })
    .finally(() => {
      isSigningIn.value = false;
    });
}
