const PATHS = {
  search: "M7 2.5a4.5 4.5 0 1 1 0 9 4.5 4.5 0 0 1 0-9zm3.3 7.8 3.4 3.4",
  help: "M8 1.9a6.1 6.1 0 1 1 0 12.2A6.1 6.1 0 0 1 8 1.9zM6.3 6.4c.1-2.2 3.5-2.1 3.4 0 0 1.3-1.7 1.3-1.7 2.7m0 1.7v.5",
  menu: "M2.5 4.5h11m-11 3.5h11m-11 3.5h11",
  close: "m4 4 8 8m0-8-8 8",
  clock: "M8 1.9a6.1 6.1 0 1 1 0 12.2A6.1 6.1 0 0 1 8 1.9zM8 4.6V8l2.4 1.5",
} as const;

/** A drawing of 16 units; the button around it has its name. */
export function Icon({ name, size = 16 }: { name: keyof typeof PATHS | "theme"; size?: number }) {
  return (
    <svg
      viewBox="0 0 16 16"
      width={size}
      height={size}
      aria-hidden="true"
      fill="none"
      stroke="currentColor"
      stroke-width="1.4"
      stroke-linecap="round"
      stroke-linejoin="round"
    >
      {name === "theme" ? (
        <>
          <circle cx="8" cy="8" r="5.6" />
          <path d="M8 2.4a5.6 5.6 0 0 1 0 11.2z" fill="currentColor" />
        </>
      ) : (
        <path d={PATHS[name]} />
      )}
    </svg>
  );
}
