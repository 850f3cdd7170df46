import { useId } from "preact/hooks";
import "./Segments.css";

export interface SegmentsProps<Value extends string> {
  readonly label: string;
  readonly options: readonly { readonly value: Value; readonly text: string; readonly title?: string }[];
  readonly value: Value;
  readonly isSmall?: boolean;
  readonly isLabelHidden?: boolean;
  onPick(value: Value): void;
}

/** A few choices beside each other, of which one is picked. */
export function Segments<Value extends string>(props: SegmentsProps<Value>) {
  const name = useId();
  return (
    <fieldset class={`segments${props.isSmall ? " small" : ""}`}>
      <legend class={props.isLabelHidden ? "visually-hidden" : undefined}>{props.label}</legend>
      <div class="segments-box">
        {props.options.map((option) => (
          <label key={option.value} title={option.title}>
            <input
              type="radio"
              class="visually-hidden"
              name={name}
              checked={option.value === props.value}
              onChange={() => props.onPick(option.value)}
            />
            <span dir="auto">{option.text}</span>
          </label>
        ))}
      </div>
    </fieldset>
  );
}
