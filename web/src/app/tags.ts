const MOST = 6;

/** The tags among those of some entries that contain a text, the most frequent first. */
export function tagsWith(text: string, tags: readonly string[]): { tag: string; count: number }[] {
  const counts = new Map<string, number>();
  const wanted = text.toLowerCase();
  for (const tag of tags) {
    if (tag.toLowerCase().includes(wanted)) counts.set(tag, (counts.get(tag) ?? 0) + 1);
  }
  return [...counts]
    .map(([tag, count]) => ({ tag, count }))
    .sort((one, other) => other.count - one.count || one.tag.localeCompare(other.tag))
    .slice(0, MOST);
}
