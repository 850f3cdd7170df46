// Colours of programs, moved in lightness until they can be read on the ground of a log.

const GROUNDS = { light: "#f4f4f1", dark: "#0b0e10" } as const; // the token `sunken`
const LEAST = 4.5;
const STEPS = 12;

export type Theme = keyof typeof GROUNDS;

const moved = new Map<string, string>();
const MOST = 4_096;

/** The colour, or the nearest one of its hue that has enough contrast in the theme. */
export function readable(colour: string, theme: Theme): string {
  const key = theme + colour;
  let found = moved.get(key);
  if (found === undefined) {
    found = computed(colour, theme);
    if (moved.size < MOST) moved.set(key, found);
  }
  return found;
}

function computed(colour: string, theme: Theme): string {
  const ground = luminance(rgb(GROUNDS[theme]));
  const own = rgb(colour);
  if (contrast(luminance(own), ground) >= LEAST) return colour;
  const target = theme === "light" ? 0 : 255; // towards black or white, which keeps the hue
  let low = 0;
  let high = 1;
  for (let step = 0; step < STEPS; step += 1) {
    const part = (low + high) / 2;
    if (contrast(luminance(mixed(own, target, part)), ground) >= LEAST) high = part;
    else low = part;
  }
  const result = mixed(own, target, high).map((value) =>
    (theme === "light" ? Math.floor(value) : Math.ceil(value)).toString(16).padStart(2, "0"),
  );
  return `#${result.join("")}`;
}

/** WCAG's contrast of two luminances. */
export function contrast(one: number, other: number): number {
  return (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
}

/** WCAG's luminance of a colour. */
export function luminance(values: readonly number[]): number {
  const [red = 0, green = 0, blue = 0] = values.map((value) => {
    const part = value / 255;
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

export function rgb(colour: string): number[] {
  return [1, 3, 5].map((at) => Number.parseInt(colour.slice(at, at + 2), 16));
}

function mixed(colour: readonly number[], target: number, part: number): number[] {
  return colour.map((value) => value + (target - value) * part);
}
