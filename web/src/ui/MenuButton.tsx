import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import "./MenuButton.css";

export interface MenuProps {
  /** What the button shows. */
  readonly label: ComponentChildren;
  /** Its name, if what it shows is none. */
  readonly name?: string;
  readonly class?: string;
  /** Which edge of the button the panel begins at. */
  readonly side?: "start" | "end";
  /** Whether a choice closes the panel; not where several are made. */
  readonly isOpenAfterChoice?: boolean;
  readonly children: ComponentChildren;
}

/** A button that opens a panel; Escape and a press outside close it, the arrows move in it. */
export function MenuButton(props: MenuProps) {
  const [isOpen, setOpen] = useState(false);
  const root = useRef<HTMLSpanElement>(null);
  const button = useRef<HTMLButtonElement>(null);
  useEffect(() => {
    const shown = root.current;
    if (!isOpen || !shown) return;
    const leave = () => {
      setOpen(false);
      button.current?.focus();
    };
    const close = (event: Event) => {
      if (event.target instanceof Node && !shown.contains(event.target)) setOpen(false);
    };
    const press = (event: KeyboardEvent) => {
      if (event.key === "Escape") leave();
      else if (event.key === "ArrowDown" || event.key === "ArrowUp") move(shown, event.key === "ArrowDown");
      else return;
      event.preventDefault();
      event.stopPropagation();
    };
    const choose = (event: Event) => {
      if (event.target instanceof Element && event.target.closest(".menu-panel :is(button, a)")) leave();
    };
    addEventListener("pointerdown", close);
    addEventListener("focusin", close);
    shown.addEventListener("keydown", press);
    if (!props.isOpenAfterChoice) shown.addEventListener("click", choose);
    itemsOf(shown)[0]?.focus();
    return () => {
      removeEventListener("pointerdown", close);
      removeEventListener("focusin", close);
      shown.removeEventListener("keydown", press);
      shown.removeEventListener("click", choose);
    };
  }, [isOpen, props.isOpenAfterChoice]);
  return (
    <span class="menu-button" ref={root}>
      <button
        type="button"
        class={props.class ?? "button small"}
        ref={button}
        aria-label={props.name}
        aria-expanded={isOpen}
        onClick={() => setOpen(!isOpen)}
      >
        {props.label}
      </button>
      {isOpen ? <div class={`menu-panel at-${props.side ?? "start"}`}>{props.children}</div> : null}
    </span>
  );
}

function itemsOf(root: HTMLElement | null): HTMLElement[] {
  return [...(root?.querySelectorAll<HTMLElement>(".menu-panel :is(button, a, input)") ?? [])];
}

function move(root: HTMLElement | null, isDown: boolean): void {
  const items = itemsOf(root);
  const at = items.indexOf(document.activeElement as HTMLElement);
  items[(at + (isDown ? 1 : -1) + items.length) % items.length]?.focus();
}
