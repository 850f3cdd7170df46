import type { RefObject } from "preact";
import { useEffect } from "preact/hooks";

/** Drags what a box scrolls, where no button is. */
export function usePanning(ref: RefObject<HTMLElement | null>): void {
  useEffect(() => {
    const box = ref.current;
    if (!box) return;
    let from: { x: number; y: number; left: number; top: number } | null = null;
    const down = (event: PointerEvent) => {
      const isFree = event.target instanceof Element && !event.target.closest("button");
      if (event.button !== 0 || event.pointerType !== "mouse" || !isFree) return;
      from = { x: event.clientX, y: event.clientY, left: box.scrollLeft, top: box.scrollTop };
      box.setPointerCapture(event.pointerId);
      box.classList.add("is-dragged");
    };
    const move = (event: PointerEvent) => {
      if (!from) return;
      box.scrollLeft = from.left - (event.clientX - from.x);
      box.scrollTop = from.top - (event.clientY - from.y);
    };
    const up = () => {
      from = null;
      box.classList.remove("is-dragged");
    };
    const handlers = { pointerdown: down, pointermove: move, pointerup: up, pointercancel: up } as const;
    for (const [name, handler] of Object.entries(handlers)) {
      box.addEventListener(name, handler as EventListener);
    }
    return () => {
      for (const [name, handler] of Object.entries(handlers)) {
        box.removeEventListener(name, handler as EventListener);
      }
    };
  }, [ref]);
}
