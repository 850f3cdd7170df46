import type { ComponentChildren } from "preact";
import "./Panel.css";

export interface PanelProps {
  readonly title: string;
  /** What is said beside the title, such as counts. */
  readonly about?: ComponentChildren;
  /** The controls at the right of its head. */
  readonly tools?: ComponentChildren;
  readonly children: ComponentChildren;
}

/** A part of a view with its own head. */
export function Panel({ title, about, tools, children }: PanelProps) {
  return (
    <section class="panel" aria-label={title}>
      <header class="panel-head">
        <h2>{title}</h2>
        {about ? <span class="panel-about">{about}</span> : null}
        {tools ? <div class="panel-tools">{tools}</div> : null}
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
