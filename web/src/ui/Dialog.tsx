import type { ComponentChildren } from "preact";
import { useEffect, useId, useRef } from "preact/hooks";
import { Icon } from "./Icon";
import "./Dialog.css";

export interface DialogProps {
  readonly title: string;
  readonly children: ComponentChildren;
  /** Added to the class, for its width. */
  readonly kind?: string;
  onLeave(): void;
}

/** A window over the page: Escape, its cross and a click beside it leave it; the focus returns to where it was. */
export function Dialog({ title, children, kind = "", onLeave }: DialogProps) {
  const dialog = useRef<HTMLDialogElement>(null);
  const name = useId();
  useEffect(() => {
    const before = document.activeElement;
    dialog.current?.showModal();
    return () => {
      if (before instanceof HTMLElement && before.isConnected) before.focus();
    };
  }, []);
  return (
    // biome-ignore lint/a11y/useKeyWithClickEvents: Escape leaves it, as in any dialog
    <dialog
      ref={dialog}
      class={`dialog ${kind}`}
      aria-labelledby={name}
      onClose={onLeave}
      onClick={(event) => {
        if (event.target === event.currentTarget && isBeside(event, event.currentTarget)) onLeave();
      }}
    >
      <header class="dialog-head">
        <h2 id={name}>{title}</h2>
        <button type="button" class="icon-button" aria-label="Close" onClick={onLeave}>
          <Icon name="close" />
        </button>
      </header>
      {children}
    </dialog>
  );
}

function isBeside({ clientX, clientY }: MouseEvent, dialog: HTMLElement): boolean {
  const { left, right, top, bottom } = dialog.getBoundingClientRect();
  return clientX < left || clientX > right || clientY < top || clientY > bottom;
}
