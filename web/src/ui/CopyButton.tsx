import { useState } from "preact/hooks";
import { copyText } from "./copy";

const SHOWN = 1_500;

/** Copies a text; the icon is a check for a moment, and “copied” is announced. */
export function CopyButton({ text, label }: { text: string; label: string }) {
  const [isCopied, setCopied] = useState(false);
  const copy = async () => {
    if (!(await copyText(text))) return;
    setCopied(true);
    setTimeout(() => setCopied(false), SHOWN);
  };
  return (
    <button type="button" class="icon-button" aria-label={label} title={label} onClick={copy}>
      <svg
        viewBox="0 0 16 16"
        width="14"
        height="14"
        aria-hidden="true"
        fill="none"
        stroke="currentColor"
        stroke-width="1.4"
      >
        {isCopied ? (
          <path d="M3 8.6 6.4 12 13 4.6" />
        ) : (
          <path d="M5.5 5.5v-2a1 1 0 0 1 1-1h6a1 1 0 0 1 1 1v6a1 1 0 0 1-1 1h-2m-7-5h6a1 1 0 0 1 1 1v6a1 1 0 0 1-1 1h-6a1 1 0 0 1-1-1v-6a1 1 0 0 1 1-1z" />
        )}
      </svg>
      <span class="visually-hidden" aria-live="polite">
        {isCopied ? "copied" : ""}
      </span>
    </button>
  );
}
