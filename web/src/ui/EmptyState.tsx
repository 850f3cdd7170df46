import type { ComponentChildren } from "preact";

/** What is not there, and what to type so that it is. */
export function EmptyState({ children }: { children: ComponentChildren }) {
  return <div class="empty-state">{children}</div>;
}
