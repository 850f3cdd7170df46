import { useEffect, useState } from "preact/hooks";

const WIDE = matchMedia("(width >= 1920px)");

/** Whether there is room for a preview beside a list. */
export function useWide(): boolean {
  const [isWide, setWide] = useState(WIDE.matches);
  useEffect(() => {
    const change = () => setWide(WIDE.matches);
    WIDE.addEventListener("change", change);
    return () => WIDE.removeEventListener("change", change);
  }, []);
  return isWide;
}
