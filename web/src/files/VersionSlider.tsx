import type { SavedFile } from "./savedFiles";

export interface SliderProps {
  readonly versions: readonly SavedFile[];
  readonly file: SavedFile;
  readonly label: string;
  onPick(version: number): void;
}

/** Steps through the versions of a file: by dragging, by `← →`, and by its two buttons. */
export function VersionSlider({ versions, file, label, onPick }: SliderProps) {
  const index = Math.max(0, versions.indexOf(file));
  const step = (to: number) => {
    const version = versions[to]?.version;
    if (version !== undefined) onPick(version);
  };
  return (
    <div class="version-slider">
      <span class="version-slider-label">{label}</span>
      <button
        type="button"
        class="icon-button"
        aria-label="The version before"
        disabled={index === 0}
        onClick={() => step(index - 1)}
      >
        ‹
      </button>
      <input
        type="range"
        min={0}
        max={versions.length - 1}
        value={index}
        aria-label={label}
        aria-valuetext={`${file.version} of ${versions.at(-1)?.version ?? file.version}`}
        onInput={({ currentTarget }) => step(Number(currentTarget.value))}
      />
      <button
        type="button"
        class="icon-button"
        aria-label="The version after"
        disabled={index === versions.length - 1}
        onClick={() => step(index + 1)}
      >
        ›
      </button>
      <span class="version-slider-place">
        <b>{file.version}</b> of {versions.at(-1)?.version}
      </span>
    </div>
  );
}
