import type { ComponentChildren } from "preact";
import "./DataPanel.css";

export interface DataPanelProps {
  readonly title: string;
  /** What is said beside the title, such as counts. */
  readonly about?: ComponentChildren;
  /** The controls at the right of its head. */
  readonly tools?: ComponentChildren;
  readonly children: ComponentChildren;
}

/** A part of a view with its own head. */
export function DataPanel({ title, about, tools, children }: DataPanelProps) {
  return (
    <section class="data-panel" aria-label={title}>
      <header class="data-panel-head">
        <h2>{title}</h2>
        {about ? <span class="data-panel-about">{about}</span> : null}
        {tools ? <div class="data-panel-tools">{tools}</div> : null}
      </header>
      {children}
    </section>
  );
}

/** A label with a value, in a list of facts. */
export function Fact({ name, children }: { name: string; children: ComponentChildren }) {
  return (
    <div class="fact">
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}
