import { useState } from "preact/hooks";
import { exactJson, NumberText } from "../sweep/exactNumbers";
import { CommandHint } from "../ui/CommandHint";
import { CopyButton } from "../ui/CopyButton";
import { EmptyState } from "../ui/EmptyState";
import { count } from "../ui/format";
import type { Values } from "./recordFacts";
import { Value } from "./Value";
import "../ui/panel.css";
import "./ParamsDiff.css";
import "./ParamsTree.css";

/** The params of a record as a tree, with a field to find some. */
export function ParamsTree({ nested }: { nested: Values }) {
  const [found, setFound] = useState("");
  const total = leaves(nested);
  if (!total) {
    return (
      <EmptyState>
        <p>This record has no params. A program sets them with:</p>
        <p>
          <CommandHint command="experiment.params.set(lr=0.1)" />
        </p>
      </EmptyState>
    );
  }
  const shown = found ? matching(nested, found.toLowerCase()) : nested;
  return (
    <section class="panel params-tree" aria-label="Params">
      <div class="panel-head">
        <h2>Params</h2>
        <span class="panel-note" role="status">
          {found ? `${count(leaves(shown))} of ${count(total)}` : count(total)}
        </span>
        <span class="panel-end panel-buttons">
          <input
            class="params-find"
            type="search"
            aria-label="Find params"
            placeholder="Find"
            spellcheck={false}
            value={found}
            onInput={(event) => setFound(event.currentTarget.value)}
          />
          <CopyButton text={`${exactJson(nested)}\n`} label="Copy all as JSON" />
        </span>
      </div>
      <div class="params-tree-list">
        <Branch values={shown} path="" found={found} />
      </div>
    </section>
  );
}

function Branch({ values, path, found }: { values: Values; path: string; found: string }) {
  return (
    <>
      {Object.entries(values).map(([name, value]) => {
        const whole = path ? `${path}.${name}` : name;
        if (isMapping(value)) {
          return (
            <details key={name} class="params-branch" open>
              <summary>
                <bdi>{name}</bdi> <small>{count(leaves(value))}</small>
              </summary>
              <div class="params-inner">
                <Branch values={value} path={whole} found={found} />
              </div>
            </details>
          );
        }
        return (
          <div key={name} class="params-leaf">
            <bdi class="params-key" title={whole}>
              {name}
            </bdi>
            <span class="params-value">
              <Value value={value} found={found} />
            </span>
            <CopyButton
              text={typeof value === "string" ? value : exactJson(value)}
              label={`Copy the value of ${whole}`}
            />
          </div>
        );
      })}
    </>
  );
}

function isMapping(value: unknown): value is Values {
  return (
    typeof value === "object" &&
    value !== null &&
    !Array.isArray(value) &&
    !(value instanceof NumberText) &&
    Object.keys(value).length > 0
  );
}

function leaves(values: Values): number {
  return Object.values(values).reduce(
    (sum: number, value) => sum + (isMapping(value) ? leaves(value) : 1),
    0,
  );
}

/** What has a text in its name, in the name of what it is in, or in its value. */
export function matching(values: Values, text: string): Values {
  const kept = Object.entries(values).flatMap(([name, value]): [string, unknown][] => {
    if (name.toLowerCase().includes(text)) return [[name, value]];
    if (isMapping(value)) {
      const inner = matching(value, text);
      return Object.keys(inner).length ? [[name, inner]] : [];
    }
    const written = typeof value === "string" ? value : exactJson(value);
    return written.toLowerCase().includes(text) ? [[name, value]] : [];
  });
  return Object.fromEntries(kept);
}
