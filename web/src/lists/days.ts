// The days by which a list is divided, as a reader names them.

const WEEKDAYS = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const MONTHS = [
  "January",
  "February",
  "March",
  "April",
  "May",
  "June",
  "July",
  "August",
  "September",
  "October",
  "November",
  "December",
];
const DAY = 86_400_000;
const WEEK = 6; // days that the name of a weekday is enough for

/** `Today`, `Yesterday`, a weekday, or a date; the year only of another one. */
export function dayOf(time: string | null, now: Date): string {
  if (time === null) return "Unknown";
  const then = new Date(time);
  const days = Math.round((midnight(now) - midnight(then)) / DAY);
  if (days <= 0) return "Today";
  if (days === 1) return "Yesterday";
  if (days <= WEEK) return WEEKDAYS[then.getDay()] as string;
  const day = `${then.getDate()} ${MONTHS[then.getMonth()]}`;
  return then.getFullYear() === now.getFullYear() ? day : `${day} ${then.getFullYear()}`;
}

function midnight(date: Date): number {
  return new Date(date.getFullYear(), date.getMonth(), date.getDate()).getTime();
}

/** The beginning of yesterday. */
export function yesterday(now: Date): Date {
  return new Date(now.getFullYear(), now.getMonth(), now.getDate() - 1);
}
