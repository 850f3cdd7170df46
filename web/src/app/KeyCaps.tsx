const SIGNS: Readonly<Record<string, string>> = {
  Escape: "Esc",
  ArrowLeft: "←",
  ArrowRight: "→",
  ArrowUp: "↑",
  ArrowDown: "↓",
  " ": "Space",
};

/** Keys as they are printed on a keyboard; of alternatives the first. */
export function KeyCaps({ keys }: { keys: string }) {
  const first = keys.split(",")[0] || keys;
  const caps =
    first === " " ? [" "] : first.split(" ").flatMap((key) => (key === "+" ? ["+"] : key.split("+")));
  return (
    <span class="key-caps">
      {caps.flatMap(withShift).map((cap, index) => (
        <kbd key={index}>{SIGNS[cap] ?? cap}</kbd>
      ))}
    </span>
  );
}

function withShift(cap: string): string[] {
  return /^[A-Z]$/.test(cap) ? ["Shift", cap] : [cap];
}
