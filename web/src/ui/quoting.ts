const PLAIN = /^[A-Za-z0-9_@%+=:,./-]+$/;

/** A command line in which a POSIX shell reads each word as it is. */
export function commandLine(...words: readonly string[]): string {
  return words.map((word) => (PLAIN.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`)).join(" ");
}
