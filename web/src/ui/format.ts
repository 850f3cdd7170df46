// Times, sizes and numbers as the page writes them.

const MINUTE = 60;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** Seconds as `48s`, `23m`, `1m06`, `2h10`, `1d05h`. */
export function duration(seconds: number): string {
  const whole = Math.max(0, Math.floor(seconds));
  if (whole < MINUTE) return `${whole}s`;
  if (whole < 10 * MINUTE) return `${Math.floor(whole / MINUTE)}m${pad(whole % MINUTE)}`;
  if (whole < HOUR) return `${Math.floor(whole / MINUTE)}m`;
  if (whole < DAY) return `${Math.floor(whole / HOUR)}h${pad(Math.floor((whole % HOUR) / MINUTE))}`;
  return `${Math.floor(whole / DAY)}d${pad(Math.floor((whole % DAY) / HOUR))}h`;
}

/** How long ago a time is, as `duration` writes it, without minor parts: `23m`, `1h`, `2d05h`. */
export function age(time: string, now = Date.now()): string {
  const seconds = Math.max(0, (now - Date.parse(time)) / 1000);
  if (seconds < MINUTE) return `${Math.floor(seconds)}s`;
  if (seconds < HOUR) return `${Math.floor(seconds / MINUTE)}m`;
  if (seconds < DAY) return `${Math.floor(seconds / HOUR)}h`;
  return duration(seconds);
}

function pad(value: number): string {
  return String(value).padStart(2, "0");
}

// Without `Intl`: its first use of each kind takes ten milliseconds, and a list has all of them.

/** The day in the zone of the reader: `2026-11-30`. */
export function dateText(date: Date): string {
  return `${date.getFullYear()}-${pad(date.getMonth() + 1)}-${pad(date.getDate())}`;
}

/** The time of the day in the zone of the reader: `09:41:07`. */
export function clockText(date: Date): string {
  return `${pad(date.getHours())}:${pad(date.getMinutes())}:${pad(date.getSeconds())}`;
}

/** A time in the zone of the reader, with the zone, for titles: `2026-11-30 09:41:07 UTC+01:00`. */
export function absolute(time: string): string {
  const date = new Date(time);
  const east = -date.getTimezoneOffset();
  const zone = `${pad(Math.floor(Math.abs(east) / 60))}:${pad(Math.abs(east) % 60)}`;
  return `${dateText(date)} ${clockText(date)} UTC${east ? (east < 0 ? "-" : "+") + zone : ""}`;
}

/** Bytes as `312 B`, `65.6 kB`, `4.1 MB`. */
export function bytes(count: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let value = count;
  let unit = 0;
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${unit && value < 99.95 ? value.toFixed(1) : Math.round(value)} ${units[unit]}`;
}

/** A count with commas: `1,284`. */
export function count(value: number): string {
  return String(value).replace(/\B(?=(\d{3})+$)/g, ",");
}
