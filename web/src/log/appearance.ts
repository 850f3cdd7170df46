// How a style of a terminal looks: classes for the terminal's own colours, variables for all others.
import type { Style } from "./ansi";
import { readable } from "./contrast";

export interface Appearance {
  readonly classes: string;
  /** CSS variables: a colour for each theme. */
  readonly variables: Readonly<Record<string, string>>;
}

export function appearance(style: Style): Appearance {
  const { fg, bg } = style.inverse ? { fg: style.bg, bg: style.fg ?? "text" } : style;
  const classes: string[] = [];
  const variables: Record<string, string> = {};
  if (style.bold || (typeof fg === "number" && fg > 7)) classes.push("ansi-bold");
  if (style.dim) classes.push("ansi-dim");
  if (style.italic) classes.push("ansi-italic");
  if (style.underline) classes.push("ansi-underline");
  if (style.strike) classes.push("ansi-strike");
  if (typeof fg === "number") classes.push(`ansi-${fg % 8}`);
  else if (fg) {
    classes.push("ansi-colour");
    variables["--light"] = readable(fg, "light");
    variables["--dark"] = readable(fg, "dark");
  }
  if (typeof bg === "number") classes.push(`ansi-on-${bg % 8}`);
  else if (bg === "text") classes.push("ansi-inverse");
  else if (bg) {
    classes.push("ansi-ground");
    variables["--ground"] = bg;
  }
  return { classes: classes.join(" "), variables };
}
