// The present time, for ages and durations that grow; it stands still in a tab that nobody sees.
import { signal } from "@preact/signals";
import { useEffect } from "preact/hooks";

const SECOND = 1_000;

/** Milliseconds since 1970, once a second while something on the page shows it. */
export const now = signal(Date.now());

let shown = 0;
let timer: ReturnType<typeof setInterval> | undefined;

function tick() {
  now.value = Date.now();
}

function turn() {
  const isWanted = shown > 0 && !document.hidden;
  if (isWanted && timer === undefined) {
    tick();
    timer = setInterval(tick, SECOND);
  } else if (!isWanted && timer !== undefined) {
    clearInterval(timer);
    timer = undefined;
  }
}

/** Keeps the clock running while a component that reads `now` is shown. */
export function useClock(isWanted = true): void {
  useEffect(() => {
    if (!isWanted) return;
    shown += 1;
    document.addEventListener("visibilitychange", turn);
    turn();
    return () => {
      shown -= 1;
      turn();
    };
  }, [isWanted]);
}
