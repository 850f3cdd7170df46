export function CloseIcon() {
  return (
    <svg viewBox="0 0 16 16" width="14" height="14" aria-hidden="true" fill="none" stroke="currentColor">
      <path d="m3.5 3.5 9 9m0-9-9 9" stroke-width="1.4" />
    </svg>
  );
}
