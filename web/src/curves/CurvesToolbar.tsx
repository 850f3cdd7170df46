import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { CsvNote, Menu } from "./Menu";
import { AXES, type Axis } from "./model";
import { Segments } from "./Segments";
import type { CurveSettings } from "./settings";
import "./CurvesToolbar.css";

export interface CurvesToolbarProps {
  readonly settings: CurveSettings;
  readonly axis: Axis;
  /** How much of the numbers is drawn. */
  readonly said: string;
  readonly isZoomed: boolean;
  readonly hasAttempts: boolean;
  readonly isNarrow: boolean;
  onChange(changes: Partial<CurveSettings>, isPassing?: boolean): void;
  onSave(kind: "png" | "svg" | "csv"): void;
}

/** How all charts are drawn; on a narrow screen behind one button. */
export function CurvesToolbar(props: CurvesToolbarProps) {
  const { settings, axis, onChange, isNarrow } = props;
  const controls = (
    <>
      <Segments
        label="x"
        options={AXES.map((value) => ({ value, text: value }))}
        value={axis}
        onPick={(x) => onChange({ x, zoom: null })}
      />
      <Segments
        label="x log"
        options={[
          { value: "off", text: "off" },
          { value: "on", text: "on" },
        ]}
        value={settings.isXLog ? "on" : "off"}
        onPick={(value) => onChange({ isXLog: value === "on" })}
      />
      <label class="curves-smoothing" title="Exponential moving average without the bias of its beginning">
        Smoothing
        <input
          type="range"
          min="0"
          max="0.99"
          step="0.01"
          value={settings.smoothing}
          onInput={(event) => onChange({ smoothing: Number(event.currentTarget.value) }, true)}
        />
        <output>{settings.smoothing.toFixed(2)}</output>
      </label>
      <KeyField keys={settings.keys} onKeys={(keys) => onChange({ keys })} />
      {props.hasAttempts ? (
        <label class="curves-attempts" title="Rows that a later attempt has superseded, dotted">
          <input
            type="checkbox"
            checked={settings.hasAttempts}
            onChange={(event) => onChange({ hasAttempts: event.currentTarget.checked })}
          />
          superseded rows
        </label>
      ) : null}
    </>
  );
  return (
    <div class="curves-toolbar" role="toolbar" aria-label="How the curves are drawn">
      {isNarrow ? <Sheet>{controls}</Sheet> : controls}
      <span class="curves-said">{props.said}</span>
      {props.isZoomed ? (
        <button
          type="button"
          class="button small"
          title="Or a double click, or 0"
          onClick={() => onChange({ zoom: null })}
        >
          Reset zoom
        </button>
      ) : null}
      <Menu
        label="Charts in a row"
        kind="button small"
        button={isNarrow ? "⊞" : settings.columns === null ? "Layout" : `${settings.columns} a row`}
      >
        {[null, 1, 2, 3].map((columns) => (
          <button
            type="button"
            key={columns}
            aria-pressed={columns === settings.columns}
            onClick={() => onChange({ columns })}
          >
            {columns === null ? "As many as fit" : `${columns} a row`}
          </button>
        ))}
      </Menu>
      <Menu
        label="Save all charts that are open"
        kind="button small"
        button={
          <>
            <svg
              viewBox="0 0 16 16"
              width="14"
              height="14"
              fill="none"
              stroke="currentColor"
              stroke-width="1.4"
              aria-hidden="true"
            >
              <path d="M8 2v8m-3.2-3L8 10.2 11.2 7M2.5 12.5v1h11v-1" />
            </svg>
            {isNarrow ? null : "PNG, SVG, CSV"}
          </>
        }
      >
        {(["png", "svg", "csv"] as const).map((kind) => (
          <button type="button" key={kind} onClick={() => props.onSave(kind)}>
            Save {kind.toUpperCase()}
          </button>
        ))}
        <CsvNote />
      </Menu>
    </div>
  );
}

/** The globs of the metrics that are shown, with commas between. */
function KeyField({ keys, onKeys }: { keys: readonly string[]; onKeys: (keys: readonly string[]) => void }) {
  const text = keys.join(", ");
  const [typed, setTyped] = useState(text);
  useEffect(() => setTyped(text), [text]);
  const take = () => {
    const parts =
      typed === text
        ? keys
        : typed
            .split(",")
            .map((part) => part.trim())
            .filter(Boolean);
    if (typed !== text) onKeys(parts);
  };
  return (
    <label class="curves-key" title="Metrics by name or glob: digits/*, loss">
      key
      <input
        type="search"
        placeholder="all"
        value={typed}
        spellcheck={false}
        autocomplete="off"
        onInput={(event) => setTyped(event.currentTarget.value)}
        onChange={take}
        onKeyDown={(event) => {
          if (event.key === "Enter") take();
          if (event.key === "Escape") {
            setTyped(text);
            event.currentTarget.blur();
          }
        }}
      />
    </label>
  );
}

function Sheet({ children }: { children: ComponentChildren }) {
  const dialog = useRef<HTMLDialogElement>(null);
  return (
    <>
      <button type="button" class="button small" onClick={() => dialog.current?.showModal()}>
        View
      </button>
      <dialog ref={dialog} class="curves-sheet" aria-label="View">
        {children}
        <form method="dialog">
          <button type="submit" class="button">
            Close
          </button>
        </form>
      </dialog>
    </>
  );
}
