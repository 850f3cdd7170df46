// The title of the document: what is shown, and then the name of the program.
import { useEffect } from "preact/hooks";
import { labelText } from "../ui/shownTexts";
import { type Route, route } from "./route";

const PLACES: Readonly<Record<string, string>> = {
  experiments: "Experiments",
  records: "Records",
  compare: "Compare",
  device: "Allow a login",
};

const LONGEST = 200; // characters

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
    document.title = `${labelText(title, LONGEST)} · exp`;
  }, [title]);
}
