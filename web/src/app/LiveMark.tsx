import { liveState } from "../live/live";

const WORDS = {
  live: { word: "live", title: "What you see follows the server." },
  connecting: { word: "connecting", title: "The stream of changes is being opened." },
  polling: {
    word: "every 5 s",
    title: "The server, or a proxy before it, allows no stream of changes: this page asks every 5 seconds.",
  },
  stale: { word: "not live", title: "The server does not answer." },
} as const;

/** Whether what is seen is live. */
export function LiveMark() {
  const { state } = liveState.value;
  const { word, title } = WORDS[state];
  return (
    <span class={`live-mark live-${state}`} title={title}>
      <svg viewBox="0 0 8 8" width="8" height="8" aria-hidden="true">
        <circle cx="4" cy="4" r={state === "live" ? 4 : 3.2} />
      </svg>
      {word}
    </span>
  );
}
