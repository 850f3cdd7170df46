// The title of the document: what is shown, and then the name of the program.
import { useEffect } from "preact/hooks";
import { type Route, route } from "./route";

const PLACES: Readonly<Record<string, string>> = {
  experiments: "Experiments",
  records: "Records",
  compare: "Compare",
  device: "Allow a login",
};

function usual({ path }: Route): string {
  const [first = "experiments", ...rest] = path;
  if (first === "experiments" && rest.length) return rest[rest.length - 1] as string;
  if (first === "records" && rest.length) return rest.join("/");
  return PLACES[first] ?? first;
}

/** Follows the address; a view that knows better says it with `useTitle`. */
export function useUsualTitle(): void {
  const title = usual(route.value);
  useTitle(title);
}

export function useTitle(title: string): void {
  useEffect(() => {
    document.title = `${title} · exp`;
  }, [title]);
}
