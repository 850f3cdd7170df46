const PAGE = "50";

/** The address of the page of a list that a query names: its conditions, its order, its cursor. */
export function listPath(list: string, query: URLSearchParams, words: readonly string[]): string {
  const asked = new URLSearchParams();
  for (const word of [...words, "sort", "cursor"]) {
    for (const value of query.getAll(word)) if (value) asked.append(word, value);
  }
  asked.set("limit", PAGE);
  return `${list}?${asked}`;
}
