// Light, dark, or what the system has.
import { computed, effect, signal } from "@preact/signals";
import { store, stored } from "../api/stored";

export const THEMES = ["system", "light", "dark"] as const;
export type Theme = (typeof THEMES)[number];

const SETTING = "exp.theme";
const dark = matchMedia("(prefers-color-scheme: dark)");
const systemIsDark = signal(dark.matches);
const chosen = signal<Theme>(THEMES.find((theme) => theme === stored(SETTING)) ?? "system");
const isPrinted = signal(false);

export const theme = computed(() => chosen.value);
/** Whether the page is dark now. */
export const isDark = computed(
  () => !isPrinted.value && (chosen.value === "system" ? systemIsDark.value : chosen.value === "dark"),
);

export function setTheme(next: Theme): void {
  chosen.value = next;
  store(SETTING, next === "system" ? null : next);
}

/** The other of light and dark. */
export function switchTheme(): void {
  setTheme(isDark.peek() ? "light" : "dark");
}

dark.addEventListener("change", () => {
  systemIsDark.value = dark.matches;
});
addEventListener("beforeprint", () => {
  isPrinted.value = true;
});
addEventListener("afterprint", () => {
  isPrinted.value = false;
});
effect(() => {
  document.documentElement.dataset.theme = isDark.value ? "dark" : "light";
});
