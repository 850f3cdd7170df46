// What the page says, wherever it says it: no text or label of others can move or hide what stands around it.
import { options, type VNode } from "preact";
import { visibleText } from "./visibleText";

/** The characters of a tooltip or of a label for screen readers. */
const LONGEST = 1_000;
const LABELS = ["title", "aria-label", "aria-valuetext", "alt"] as const;

/** A text of one line that nobody can ask more of, such as a tooltip or the title of the document. */
export function labelText(text: string, longest = LONGEST): string {
  return visibleText(text.length > longest ? `${text.slice(0, longest)}…` : text);
}

const before = options.vnode;

options.vnode = (vnode: VNode) => {
  const made = vnode as { type: unknown; props: unknown };
  if (made.type === null) {
    if (typeof made.props === "string") made.props = visibleText(made.props);
  } else if (typeof made.type === "string") {
    const props = made.props as Record<string, unknown>;
    for (const name of LABELS) {
      const label = props[name];
      if (typeof label === "string") props[name] = labelText(label);
    }
  }
  before?.(vnode);
};
