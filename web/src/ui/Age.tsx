import { useComputed } from "@preact/signals";
import { now } from "./clock";
import { absolute, age, duration } from "./format";

/** How long ago a time is: `23m`; the time itself, with its zone, on hover. */
export function Age({ time }: { time: string }) {
  const text = useComputed(() => age(time, now.value)); // drawn when it changes, not each second
  return (
    <time dateTime={time} title={absolute(time)}>
      {text}
    </time>
  );
}

/** How long something has taken, or takes until now if it has no end: `1m06`. */
export function Duration({ begin, end }: { begin: string; end: string | null }) {
  const until = end === null ? now.value : Date.parse(end);
  return <span class="duration">{duration((until - Date.parse(begin)) / 1000)}</span>;
}
