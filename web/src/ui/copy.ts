/** Puts a text on the clipboard, also where the browser gives a page no access to it; false if it refuses. */
export async function copyText(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return copySelected(text);
  }
}

/** The older way, by a selection: `navigator.clipboard` is there only on https and on this machine. */
function copySelected(text: string): boolean {
  const field = document.createElement("textarea");
  field.className = "visually-hidden";
  field.value = text;
  const before = document.activeElement;
  const above = document.querySelector("dialog[open]") ?? document.body; // a dialog keeps the focus inside
  above.append(field);
  field.select();
  const isCopied = document.execCommand("copy");
  field.remove();
  if (before instanceof HTMLElement) before.focus();
  return isCopied;
}
