import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import "./Dialog.css";
import { ErrorNote } from "./ErrorNote";

export interface ConfirmProps {
  readonly title: string;
  /** What will happen and what will not, in counts. */
  readonly children: ComponentChildren;
  /** The button that acts, such as `Cancel 39 tasks`. */
  readonly act: string;
  /** The button while it acts, such as `Cancelling…`. */
  readonly acting: string;
  /** The harmless button, which has the focus. */
  readonly leave: string;
  readonly isDangerous?: boolean;
  onAct(): Promise<unknown>;
  onLeave(): void;
}

/** Asks before an action; once it acts, its button is dead until the server has answered. */
export function ConfirmDialog(props: ConfirmProps) {
  const dialog = useRef<HTMLDialogElement>(null);
  const [isActing, setActing] = useState(false);
  const [problem, setProblem] = useState<unknown>(null);
  useEffect(() => dialog.current?.showModal(), []);
  const act = async () => {
    setActing(true);
    setProblem(null);
    try {
      await props.onAct();
      props.onLeave();
    } catch (error) {
      setProblem(error);
      setActing(false);
    }
  };
  return (
    <dialog ref={dialog} class="confirm-dialog" aria-label={props.title} onClose={props.onLeave}>
      <h2>{props.title}</h2>
      {props.children}
      {problem ? <ErrorNote error={problem} /> : null}
      <p class="confirm-buttons">
        <button type="button" class="button" autofocus onClick={props.onLeave}>
          {props.leave}
        </button>
        <button
          type="button"
          class={`button ${props.isDangerous ? "dangerous" : "main"}`}
          disabled={isActing}
          onClick={act}
        >
          {isActing ? props.acting : props.act}
        </button>
      </p>
    </dialog>
  );
}
