// Who is signed in, and what their token allows.
import { computed, effect, signal } from "@preact/signals";
import { ask, session, sessionOver } from "./client";
import type { WhoamiDocument } from "./documents/whoami";

const known = signal<WhoamiDocument | null>(null);

/** The user of the session; null until the server has said it. It stays when the session is over. */
export const whoami = computed(() => known.value);

/** Whether the actions on experiments are allowed: by the token and by the server. */
export const mayControl = computed(() => session.value !== null && known.value?.controls === true);

/** The user of a token; null if the server refuses it. */
export async function userOf(token: string): Promise<WhoamiDocument> {
  return ask<WhoamiDocument>("/v1/whoami", { token });
}

effect(() => {
  const token = session.value;
  if (token !== null) {
    userOf(token).then(
      (document) => {
        if (token !== session.peek()) return;
        // What is shown belongs to the user before.
        if (known.peek() && known.peek()?.user !== document.user) location.reload();
        else known.value = document;
      },
      () => {}, // `send` has noted that the session is over; a server that does not answer is asked later
    );
  } else if (sessionOver.value === null) {
    known.value = null;
  }
});
