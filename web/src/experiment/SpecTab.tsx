import { useMemo } from "preact/hooks";
import { experimentDocument, experimentName } from "../api/addresses";
import type { SpecDocument } from "../api/documents/spec";
import { useDocument } from "../api/useDocument";
import { navigate, route, withQuery } from "../app/route";
import { CommandHint } from "../ui/CommandHint";
import { CopyButton } from "../ui/CopyButton";
import { EmptyState } from "../ui/EmptyState";
import { ErrorNote } from "../ui/ErrorNote";
import { count } from "../ui/format";
import { commandLine } from "../ui/quoting";
import { diffRows, linesOf } from "./specDiff";
import type { TabProps } from "./tabs";
import "./SpecTab.css";

/** The spec as it was given or as it was resolved, its revisions, and what differs between two. */
export function SpecTab({ experiment }: TabProps) {
  const { query } = route.value;
  const revision = numberOf(query.get("revision"));
  const other = numberOf(query.get("against"));
  const isResolved = query.get("as") === "resolved";
  const address = experimentDocument(experiment, "spec");
  const topics = [`experiment:${experimentName(experiment)}`];
  const {
    document: spec,
    error,
    reload,
  } = useDocument<SpecDocument>(withRevision(address, revision), topics);
  const against = useDocument<SpecDocument>(other === null ? null : withRevision(address, other)).document;
  if (!spec) return error ? <ErrorNote error={error} retry={reload} /> : null;
  const isLatest = spec.revision === spec.latest;
  return (
    <div class="spec-tab">
      <div class="spec-tools">
        <nav class="segments" aria-label="Form">
          <a href={withQuery({ as: null })} aria-current={isResolved ? undefined : "true"}>
            As given
          </a>
          <a
            href={withQuery({ as: "resolved", against: null })}
            aria-current={isResolved ? "true" : undefined}
          >
            Resolved
          </a>
        </nav>
        {spec.latest > 1 && !isResolved ? <Revisions spec={spec} other={other} /> : null}
        {spec.text !== null && !isResolved ? <CopyButton text={spec.text} label="Copy the spec" /> : null}
        <CommandHint command={commandLine("exp", "show", experiment.id, "--spec")} />
      </div>
      {isResolved ? <Resolved spec={spec} isLatest={isLatest} /> : <Given spec={spec} against={against} />}
    </div>
  );
}

function numberOf(text: string | null): number | null {
  const number = Number(text);
  return Number.isInteger(number) && number > 0 ? number : null;
}

function withRevision(address: string, revision: number | null): string {
  return revision === null ? address : `${address}?${new URLSearchParams({ revision: String(revision) })}`;
}

function Revisions({ spec, other }: { spec: SpecDocument; other: number | null }) {
  const all = Array.from({ length: spec.latest }, (_, index) => spec.latest - index);
  return (
    <>
      <label>
        Revision{" "}
        <select
          value={spec.revision}
          onChange={(event) => navigate(withQuery({ revision: event.currentTarget.value }))}
        >
          {all.map((number) => (
            <option key={number} value={number}>
              {number}
            </option>
          ))}
        </select>
      </label>
      <label>
        what differs from{" "}
        <select
          value={other ?? ""}
          onChange={(event) => navigate(withQuery({ against: event.currentTarget.value || null }))}
        >
          <option value="">none</option>
          {all
            .filter((number) => number !== spec.revision)
            .map((number) => (
              <option key={number} value={number}>
                revision {number}
              </option>
            ))}
        </select>
      </label>
    </>
  );
}

function Given({ spec, against }: { spec: SpecDocument; against: SpecDocument | null }) {
  if (spec.text === null) return <EmptyState>{missing(spec)}</EmptyState>;
  if (!against || against.revision === spec.revision) return <Lines text={spec.text} />;
  if (against.text === null) return <EmptyState>{missing(against)}</EmptyState>;
  return <Difference before={against.text} after={spec.text} />;
}

function missing(spec: SpecDocument): string {
  return `Revision ${spec.revision} is not here${spec.missing ? `: ${spec.missing}` : ""}.`;
}

function Resolved({ spec, isLatest }: { spec: SpecDocument; isLatest: boolean }) {
  if (!spec.resolved) {
    const why = isLatest ? "It has not arrived." : "Only the latest revision is resolved.";
    return <EmptyState>{why}</EmptyState>;
  }
  return <Lines text={JSON.stringify(spec.resolved, null, 2)} />;
}

/** A text with line numbers, which are not copied. */
function Lines({ text }: { text: string }) {
  const lines = useMemo(() => linesOf(text), [text]);
  const numbers = lines.map((_, index) => index + 1).join("\n");
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls is reached with the keyboard
    <section class="spec-text" tabIndex={0} aria-label="Spec">
      <pre class="spec-numbers" aria-hidden="true">
        {numbers}
      </pre>
      <pre class="spec-lines">{lines.join("\n")}</pre>
    </section>
  );
}

function Difference({ before, after }: { before: string; after: string }) {
  const rows = useMemo(() => diffRows(before, after), [before, after]);
  if (rows.every((row) => row.kind === "same" || row.kind === "folded")) {
    return <EmptyState>Nothing differs.</EmptyState>;
  }
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls is reached with the keyboard
    <section class="spec-text" tabIndex={0} aria-label="What differs">
      <table class="spec-diff">
        <tbody>
          {rows.map((row, index) =>
            row.kind === "folded" ? (
              <tr key={`folded ${index}`} class="spec-folded">
                <td colSpan={4}>{count(row.count)} lines are the same</td>
              </tr>
            ) : (
              <tr key={`${row.kind} ${row.before} ${row.after}`} class={`spec-${row.kind}`}>
                <td class="spec-number">{row.before}</td>
                <td class="spec-number">{row.after}</td>
                <td class="spec-sign">{row.kind === "added" ? "+" : row.kind === "removed" ? "−" : ""}</td>
                <td class="spec-line">{row.text}</td>
              </tr>
            ),
          )}
        </tbody>
      </table>
    </section>
  );
}
