// The time for ages and durations that are seen.
import { signal } from "@preact/signals";

const TICK = 1_000;

let timer: ReturnType<typeof setInterval> | undefined;

function follow(): void {
  clearInterval(timer);
  timer = undefined;
  if (!isSeen || document.visibilityState === "hidden") return;
  now.value = Date.now();
  timer = setInterval(() => {
    now.value = Date.now();
  }, TICK);
}

let isSeen = false;

/**
 * Milliseconds since 1970. A component that reads it is drawn once a second while its tab is seen; so read it
 * in the smallest component, as `<Age time={…} />` does, and not at all for what has ended.
 */
export const now = signal(Date.now(), {
  watched() {
    if (!isSeen) document.addEventListener("visibilitychange", follow);
    isSeen = true;
    follow();
  },
  unwatched() {
    document.removeEventListener("visibilitychange", follow);
    isSeen = false;
    follow();
  },
});
