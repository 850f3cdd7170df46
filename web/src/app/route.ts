// The address is the whole state of a view: its path says what is shown, its query how.
import { computed, signal } from "@preact/signals";

export interface Route {
  /** The parts of the path, decoded. */
  readonly path: readonly string[];
  readonly query: URLSearchParams;
}

const address = signal(location.pathname + location.search);

export const route = computed<Route>(() => {
  const { pathname, searchParams } = new URL(address.value, location.origin);
  return { path: pathname.split("/").filter(Boolean).map(decoded), query: searchParams };
});

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/** Shows another address; `replace` for what Back should not return to, such as a filter while it is typed. */
export function navigate(href: string, { replace = false } = {}): void {
  if (href === address.value) return;
  history[replace ? "replaceState" : "pushState"](null, "", href);
  address.value = location.pathname + location.search;
}

/** The present address with other values in its query; null removes one. */
export function withQuery(changes: Record<string, string | readonly string[] | null>): string {
  const query = new URLSearchParams(route.value.query);
  for (const [name, value] of Object.entries(changes)) {
    query.delete(name);
    for (const one of value === null ? [] : [value].flat()) query.append(name, one as string);
  }
  const text = query.toString();
  return location.pathname + (text ? `?${text}` : "");
}

/** The path of these parts, each encoded. */
export function pathOf(...parts: readonly string[]): string {
  return `/${parts.map(encodeURIComponent).join("/")}`;
}

/** Follows Back, Forward and links of this page; a click with a modifier is the browser's. */
export function followLinks(): void {
  addEventListener("popstate", () => {
    address.value = location.pathname + location.search;
  });
  addEventListener("click", (event) => {
    const link = event.target instanceof Element ? event.target.closest("a") : null;
    if (!link || link.target || link.download || link.origin !== location.origin) return;
    if (
      event.defaultPrevented ||
      event.button ||
      event.ctrlKey ||
      event.metaKey ||
      event.shiftKey ||
      event.altKey
    )
      return;
    if (link.hash && link.pathname === location.pathname && link.search === location.search) return;
    event.preventDefault();
    navigate(link.pathname + link.search);
  });
}
