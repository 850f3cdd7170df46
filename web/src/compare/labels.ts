// How records are named beside each other.

export interface Located {
  readonly prefix: string;
  /** The path of the folder of records in which it is. */
  readonly folder?: string;
}

/** The ends of prefixes that tell records apart, with the folders of those that have the same prefix. */
export function namesOf(records: readonly Located[]): string[] {
  const names = labelsOf(records.map((each) => each.prefix));
  const folders = foldersOf(records);
  return names.map((name, index) => (folders[index] ? `${name} in ${folders[index]}` : name));
}

/** For each record the end of its folder's path, if another folder has a record of its prefix; else null. */
export function foldersOf(records: readonly Located[]): (string | null)[] {
  const byPrefix = new Map<string, Set<string>>();
  for (const { prefix, folder = "" } of records) {
    byPrefix.set(prefix, (byPrefix.get(prefix) ?? new Set()).add(folder));
  }
  const all = [...new Set(records.map((each) => each.folder ?? ""))];
  const ends = all.length > 1 ? labelsOf(all) : all;
  const named = new Map(all.map((folder, index) => [folder, ends[index] || folder]));
  return records.map(({ prefix, folder = "" }) =>
    (byPrefix.get(prefix)?.size ?? 0) > 1 ? (named.get(folder) ?? folder) : null,
  );
}

/** The ends of prefixes that tell them apart. */
export function labelsOf(prefixes: readonly string[]): string[] {
  const parts = prefixes.map((prefix) => prefix.split("/"));
  const [first = []] = parts;
  const shortest = Math.min(...parts.map((each) => each.length)) - 1;
  let shared = 0;
  while (shared < shortest && parts.every((each) => each[shared] === first[shared])) shared += 1;
  return parts.map((each) => each.slice(prefixes.length > 1 ? shared : -1).join("/"));
}
