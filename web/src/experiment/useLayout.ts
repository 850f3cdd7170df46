import { useEffect, useState } from "preact/hooks";

/** `narrow`: one column; `middle`, `wide`: a panel beside the table; `full`: a panel of the whole height. */
export type Layout = "narrow" | "middle" | "wide" | "full";

const LEAST: readonly (readonly [Layout, number])[] = [
  ["full", 1920],
  ["wide", 1360],
  ["middle", 1024],
];

function present(): Layout {
  return LEAST.find(([, width]) => innerWidth >= width)?.[0] ?? "narrow";
}

/** The layout for the width of the window. */
export function useLayout(): Layout {
  const [layout, setLayout] = useState(present);
  useEffect(() => {
    const look = () => setLayout(present());
    const queries = LEAST.map(([, width]) => matchMedia(`(min-width: ${width}px)`));
    for (const query of queries) query.addEventListener("change", look);
    return () => {
      for (const query of queries) query.removeEventListener("change", look);
    };
  }, []);
  return layout;
}
