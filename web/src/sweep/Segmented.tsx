import "./Segmented.css";

interface SegmentedProps {
  readonly label: string;
  readonly value: string;
  readonly choices: readonly (readonly [value: string, label: string])[];
  onChoose(value: string): void;
}

/** A few choices of which one holds. */
export function Segmented({ label, value, choices, onChoose }: SegmentedProps) {
  return (
    // biome-ignore lint/a11y/useSemanticElements: a fieldset has a look of its own
    <span class="segmented" role="group" aria-label={label}>
      {choices.map(([each, text]) => (
        <button key={each} type="button" aria-pressed={each === value} onClick={() => onChoose(each)}>
          {text}
        </button>
      ))}
    </span>
  );
}
