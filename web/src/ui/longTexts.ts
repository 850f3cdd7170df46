// How much of a long text is shown.

const MOST_LINES = 60;

/** The text, or its beginning if it has more characters or lines than are shown. */
export function beginningOf(text: string, most: number): string {
  let end = text.length > most * 1.2 ? most : text.length;
  let at = -1;
  for (let line = 0; line < MOST_LINES; line += 1) {
    at = text.indexOf("\n", at + 1);
    if (at < 0 || at >= end) break;
    if (line === MOST_LINES - 1 && at < text.length - 1) end = at;
  }
  const code = text.charCodeAt(end - 1);
  // half of a pair is no character
  return text.slice(0, end < text.length && code >= 0xd800 && code < 0xdc00 ? end - 1 : end);
}
