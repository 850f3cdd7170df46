// How records are named beside each other.

/** The ends of prefixes that tell them apart. */
export function labelsOf(prefixes: readonly string[]): string[] {
  const parts = prefixes.map((prefix) => prefix.split("/"));
  const [first = []] = parts;
  const shortest = Math.min(...parts.map((each) => each.length)) - 1;
  let shared = 0;
  while (shared < shortest && parts.every((each) => each[shared] === first[shared])) shared += 1;
  return parts.map((each) => each.slice(prefixes.length > 1 ? shared : -1).join("/"));
}
