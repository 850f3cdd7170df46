import { useRef, useState } from "preact/hooks";
import { navigate, route, withQuery } from "../app/route";
import type { Layout } from "./useLayout";

export interface PanelWidth {
  readonly value: number;
  readonly least: number;
  readonly most: number;
  /** Shows another width; `isKept` writes it into the address. */
  set(width: number, isKept: boolean): void;
}

const LEAST = 400;
const FIRST: Readonly<Record<Layout, number>> = { narrow: LEAST, middle: 520, wide: 568, full: 1056 };
const STEP = 24;

/** The width of the panel: that of the address, or the first one of the layout; at most half of the window. */
export function usePanelWidth(layout: Layout): PanelWidth {
  const [dragged, setDragged] = useState<number | null>(null);
  const most = Math.max(LEAST, Math.floor(innerWidth / 2));
  const within = (width: number) => Math.round(Math.min(most, Math.max(LEAST, width)));
  const asked = Number(route.value.query.get("panel")) || FIRST[layout];
  return {
    value: within(dragged ?? asked),
    least: LEAST,
    most,
    set(width, isKept) {
      setDragged(isKept ? null : within(width));
      if (isKept) navigate(withQuery({ panel: String(within(width)) }), { replace: true });
    },
  };
}

/** The left edge of the panel, which is dragged, or moved with the arrow keys. */
export function PanelEdge({ width }: { width: PanelWidth }) {
  const start = useRef<{ x: number; width: number } | null>(null);
  const at = (event: PointerEvent) =>
    start.current ? start.current.width + start.current.x - event.clientX : width.value;
  return (
    // biome-ignore lint/a11y/useSemanticElements: a separator that is moved is no <hr>
    <div
      class="panel-edge"
      role="separator"
      aria-orientation="vertical"
      aria-label="Width of the panel"
      aria-valuenow={width.value}
      aria-valuemin={width.least}
      aria-valuemax={width.most}
      tabIndex={0}
      onPointerDown={(event) => {
        start.current = { x: event.clientX, width: width.value };
        event.currentTarget.setPointerCapture(event.pointerId);
      }}
      onPointerMove={(event) => start.current && width.set(at(event), false)}
      onPointerUp={(event) => {
        if (start.current) width.set(at(event), true);
        start.current = null;
      }}
      onKeyDown={(event) => {
        const by = { ArrowLeft: STEP, ArrowRight: -STEP }[event.key];
        if (by === undefined) return;
        event.preventDefault();
        width.set(width.value + by, true);
      }}
    />
  );
}
