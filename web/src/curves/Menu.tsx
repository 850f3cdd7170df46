import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";

/** A button that opens a few further ones; a click elsewhere, a choice and Escape close it. */
export function Menu({
  label,
  button,
  kind,
  children,
}: {
  label: string;
  button: ComponentChildren;
  kind: string;
  children: ComponentChildren;
}) {
  const details = useRef<HTMLDetailsElement>(null);
  const close = () => {
    if (details.current) details.current.open = false;
  };
  useEffect(() => {
    const away = (event: Event) => {
      if (details.current?.open && !details.current.contains(event.target as Node)) close();
    };
    addEventListener("pointerdown", away);
    return () => removeEventListener("pointerdown", away);
  }, []);
  return (
    <details
      ref={details}
      class="curves-menu"
      onKeyDown={(event) => {
        if (event.key !== "Escape" || !details.current?.open) return;
        event.stopPropagation();
        close();
        details.current.querySelector("summary")?.focus();
      }}
    >
      <summary class={kind} aria-label={label} title={label}>
        {button}
      </summary>
      {/* biome-ignore lint/a11y/useKeyWithClickEvents: the buttons inside take the keys */}
      {/* biome-ignore lint/a11y/noStaticElementInteractions: it only closes after a button was pressed */}
      <div
        class="curves-menu-list"
        onClick={(event) => {
          if (event.target instanceof Element && event.target.closest("button")) close();
        }}
      >
        {children}
      </div>
    </details>
  );
}

/** What a saved CSV has. */
export function CsvNote() {
  return (
    <p class="curves-menu-note">
      CSV has the points that are drawn. All rows: <code>exp metrics … -n 100000 --format csv</code>
    </p>
  );
}
