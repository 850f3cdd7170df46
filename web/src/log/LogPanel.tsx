import type { ComponentChildren, Ref } from "preact";
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { type ExperimentAddress, experimentName } from "../api/addresses";
import { RequestError } from "../api/client";
import { useKeys } from "../app/keys";
import { navigate, route, withQuery } from "../app/route";
import { now } from "../ui/clock";
import { ErrorNote } from "../ui/ErrorNote";
import { bytes, count, duration } from "../ui/format";
import { LogController, type StreamName } from "./LogController";
import "./LogPanel.css";

export interface LogProps {
  readonly experiment: ExperimentAddress;
  readonly task: string;
  /** Its number; null for the latest. */
  readonly attempt: number | null;
  readonly stream?: StreamName;
  /** Its name in the address, for the second log of a view: the parameters begin with it. */
  readonly name?: string;
}

const NOTE = 6_000; // milliseconds that a note is shown

export function LogPanel({ experiment, task, attempt, stream = "log", name = "" }: LogProps) {
  const host = useRef<HTMLDivElement>(null);
  const field = useRef<HTMLInputElement>(null);
  const [controller, setController] = useState<LogController | null>(null);
  const [note, setNote] = useState<ComponentChildren>(null);
  const query = route.value.query;
  const text = query.get(`${name}find`) ?? "";
  const hasCase = query.get(`${name}case`) === "1";
  const isWrapped = query.get(`${name}wrap`) === "1";
  const set = (changes: Record<string, string | null>) =>
    navigate(
      withQuery(Object.fromEntries(Object.entries(changes).map(([key, value]) => [name + key, value]))),
      {
        replace: true,
      },
    );

  const run = useRef<(key: string) => boolean>(() => false);
  run.current = (key) => {
    if (!controller) return false;
    if (key === "f") {
      if (controller.isOver.peek() && controller.size.peek() === 0) return false;
      if (controller.isFollowing.peek()) controller.unfollow();
      else controller.follow();
    } else if (key === "e" && controller.outline.peek()?.error) controller.toError();
    else if (key === "w") set({ wrap: isWrapped ? null : "1" });
    else if (key === "n" || key === "N") controller.step(key === "n" ? 1 : -1);
    else if (key === "/" || key === "Mod-f") field.current?.select();
    else if (key === "Escape" && text) set({ find: null });
    else return false;
    return true;
  };
  const press = (key: string) => run.current(key);
  useKeys([
    { keys: "f", label: "follow the log, or stop", group: "Log", run: () => press("f") },
    { keys: "e", label: "first error", group: "Log", run: () => press("e") },
    { keys: "w", label: "wrap lines", group: "Log", run: () => press("w") },
    {
      keys: "g l",
      label: "go to the log",
      group: "Log",
      run: () => {
        controller?.focus();
      },
    },
    { keys: "n", label: "next match", group: "Log", run: () => (text ? press("n") : false) },
    { keys: "N", label: "match before", group: "Log", run: () => (text ? press("N") : false) },
  ]);

  const { owner, home, id } = experiment;
  useLayoutEffect(() => {
    if (!host.current) return;
    const address = { experiment: { owner, home, id }, task, attempt, stream };
    const made = new LogController(host.current, address, press);
    setController(made);
    return () => made.destroy();
  }, [owner, home, id, task, attempt, stream]);
  const isLoaded = controller?.isLoaded.value ?? false;
  useEffect(() => {
    if (isLoaded) controller?.wrap(isWrapped);
  }, [controller, isLoaded, isWrapped]);
  useEffect(() => {
    if (isLoaded) controller?.find(text, hasCase);
  }, [controller, isLoaded, text, hasCase]);
  const line = query.get(`${name}line`);
  const hasOutline = isLoaded && Boolean(controller?.outline.value);
  useEffect(() => {
    if (!hasOutline || line === null) return;
    if (line === "error") {
      controller?.toError();
      set({ line: null }); // so that the same link leads there again
    } else if (Number.isSafeInteger(Number(line)) && Number(line) > 0) controller?.toLine(Number(line));
  }, [controller, hasOutline, line]);
  useEffect(() => {
    if (note === null) return;
    const timer = setTimeout(() => setNote(null), NOTE);
    return () => clearTimeout(timer);
  }, [note]);

  const download = async () => {
    if (!controller) return;
    try {
      const link = document.createElement("a");
      link.href = await controller.link();
      link.download = `${id}-${task}-${controller.attempt.peek() ?? attempt ?? 1}.${stream}.txt`.replaceAll(
        "/",
        "-",
      );
      link.click();
    } catch (error) {
      setNote(String(error instanceof Error ? error.message : error));
    }
  };
  const copy = async () => {
    if (!controller) return;
    try {
      const { lines, isAll } = await controller.copy();
      setNote(
        isAll ? (
          `copied, ${count(lines)} lines`
        ) : (
          <>
            copied the {count(lines)} lines that are loaded, not all.{" "}
            <button type="button" class="log-link" onClick={download}>
              Download all
            </button>
          </>
        ),
      );
    } catch (error) {
      setNote(String(error instanceof Error ? error.message : error));
    }
  };

  const missing = controller?.missing.value ?? null;
  const size = controller?.size.value ?? 0;
  const isEmpty = isLoaded && size === 0;
  const error = controller?.outline.value?.error ?? null;
  const hasText = isLoaded && size > 0;
  return (
    <section class="log-panel" aria-label={`The ${stream} of ${task}`}>
      {hasText ? (
        <div class="log-toolbar">
          <Find
            field={field}
            text={text}
            hasCase={hasCase}
            controller={controller}
            onText={(value) => set({ find: value || null })}
            onCase={() => set({ case: hasCase ? null : "1" })}
          />
          {error ? (
            <button
              type="button"
              class="button log-error-button"
              title="To the error (e)"
              onClick={() => controller?.toError()}
            >
              <span class="log-error-sign" aria-hidden="true">
                !
              </span>
              <span>
                <span class="log-error-first">First error: </span>line {count(error.line)}
              </span>
            </button>
          ) : null}
          <span class="log-tools">
            <Tool label="Wrap lines" hint="w" isPressed={isWrapped} onClick={() => press("w")}>
              <path d="M2 3.5h12M2 8h9.5a2.25 2.25 0 0 1 0 4.5H8M9.5 11 8 12.5 9.5 14M2 12.5h3" />
            </Tool>
            <Tool label="Copy all" onClick={copy}>
              <path d="M5.5 5.5v-2a1 1 0 0 1 1-1h6a1 1 0 0 1 1 1v6a1 1 0 0 1-1 1h-2m-7-5h6a1 1 0 0 1 1 1v6a1 1 0 0 1-1 1h-6a1 1 0 0 1-1-1v-6a1 1 0 0 1 1-1z" />
            </Tool>
            <Tool label="Download" onClick={download}>
              <path d="M8 2.5v7.5m-3-3 3 3 3-3M2.5 13h11" />
            </Tool>
          </span>
        </div>
      ) : null}
      <div class="log-host" ref={host} hidden={!hasText} />
      {missing ? <Missing error={missing} retry={() => controller?.reload()} /> : null}
      {isEmpty && controller ? <Empty controller={controller} /> : null}
      {hasText && controller ? <Strip controller={controller} onFollow={() => controller.follow()} /> : null}
      <Foot controller={hasText ? controller : null} note={note} name={experimentName(experiment)} />
    </section>
  );
}

interface FindProps {
  readonly field: Ref<HTMLInputElement>;
  readonly text: string;
  readonly hasCase: boolean;
  readonly controller: LogController | null;
  onText(text: string): void;
  onCase(): void;
}

function Find({ field, text, hasCase, controller, onText, onCase }: FindProps) {
  const found = controller?.found.value ?? null;
  const step = (by: 1 | -1) => controller?.step(by);
  return (
    <search class="log-find">
      <svg viewBox="0 0 16 16" width="14" height="14" aria-hidden="true" class="log-find-icon">
        <circle cx="7" cy="7" r="4.25" />
        <path d="m10.2 10.2 3.3 3.3" />
      </svg>
      <input
        ref={field}
        type="search"
        value={text}
        placeholder="Find"
        aria-label="Find in the log"
        autocomplete="off"
        spellcheck={false}
        maxLength={1000}
        onInput={(event) => onText(event.currentTarget.value)}
        onKeyDown={(event) => {
          if (event.key === "Enter") step(event.shiftKey ? -1 : 1);
          else if (event.key === "Escape") {
            onText("");
            controller?.focus();
          } else return;
          event.preventDefault();
          event.stopPropagation();
        }}
      />
      {text ? (
        <>
          <button
            type="button"
            class="log-case"
            aria-pressed={hasCase}
            title="Match case"
            aria-label="Match case"
            onClick={onCase}
          >
            Aa
          </button>
          <span class="log-count" role="status">
            {!found
              ? "…"
              : found.error
                ? "not searched"
                : found.count
                  ? `${count(found.current)} of ${count(found.count)}`
                  : "none"}
          </span>
          <Tool label="Match before" hint="N" onClick={() => step(-1)}>
            <path d="m3.5 10 4.5-4.5 4.5 4.5" />
          </Tool>
          <Tool label="Next match" hint="n" onClick={() => step(1)}>
            <path d="m3.5 6 4.5 4.5 4.5-4.5" />
          </Tool>
        </>
      ) : null}
    </search>
  );
}

interface ToolProps {
  readonly label: string;
  readonly hint?: string;
  readonly isPressed?: boolean;
  readonly children: ComponentChildren;
  onClick(): unknown;
}

function Tool({ label, hint, isPressed, children, onClick }: ToolProps) {
  return (
    <button
      type="button"
      class="icon-button"
      aria-label={label}
      title={hint ? `${label} (${hint})` : label}
      aria-pressed={isPressed}
      onClick={onClick}
    >
      <svg
        viewBox="0 0 16 16"
        width="16"
        height="16"
        aria-hidden="true"
        fill="none"
        stroke="currentColor"
        stroke-width="1.3"
        stroke-linecap="round"
        stroke-linejoin="round"
      >
        {children}
      </svg>
    </button>
  );
}

/** Why there is no log, in words, with what to do. */
function Missing({ error, retry }: { error: unknown; retry: () => void }) {
  if (error instanceof RequestError && ["no_log", "not_shipped", "not_here_yet"].includes(error.code)) {
    return (
      <div class="log-empty" role="status">
        <p>{sentence(error.message)}</p>
        {error.hint ? <p class="log-hint">{sentence(error.hint)}</p> : null}
      </div>
    );
  }
  return (
    <div class="log-empty">
      <ErrorNote error={error} retry={retry} />
    </div>
  );
}

function sentence(text: string): string {
  return `${text.slice(0, 1).toUpperCase()}${text.slice(1)}.`;
}

function Empty({ controller }: { controller: LogController }) {
  const outline = controller.outline.value;
  if (!outline) return null;
  if (outline.over) return <div class="log-empty">Nothing was written.</div>;
  return (
    <div class="log-empty">
      nothing written yet
      {outline.started ? <Running since={outline.started} /> : null}
    </div>
  );
}

function Running({ since }: { since: string }) {
  const seconds = (now.value - Date.parse(since)) / 1000;
  return <>, running for {seconds < 60 ? `${Math.max(0, Math.floor(seconds))} s` : duration(seconds)}</>;
}

/** Below the text while it is not followed: how many lines have come since. */
function Strip({ controller, onFollow }: { controller: LogController; onFollow: () => void }) {
  if (controller.isOver.value || controller.isFollowing.value) return null;
  const lines = controller.newLines.value;
  return (
    <button type="button" class="log-strip" title="Follow the log (f)" onClick={onFollow}>
      {lines ? `${count(lines)} new ${lines === 1 ? "line" : "lines"}` : "Not following, nothing new"}
      <svg viewBox="0 0 16 16" width="12" height="12" aria-hidden="true">
        <path d="m3.5 6 4.5 4.5 4.5-4.5" />
      </svg>
      <kbd>f</kbd>
    </button>
  );
}

interface FootProps {
  readonly controller: LogController | null;
  readonly note: ComponentChildren;
  readonly name: string;
}

/** What is not shown, and what was just done. */
function Foot({ controller, note }: FootProps) {
  const parts = useMemo(() => controller, [controller]);
  const dropped = parts?.dropped.value ?? 0;
  const size = parts?.size.value ?? 0;
  const loaded = parts?.loaded.value ?? 0;
  const problem = parts?.problem.value ?? null;
  const facts = [
    dropped ? `${count(dropped)} control ${dropped === 1 ? "sequence" : "sequences"} not shown` : null,
    size > loaded ? `${bytes(loaded)} of ${bytes(size)} loaded` : null,
  ].filter(Boolean);
  return (
    <div class="log-foot" hidden={!facts.length && note === null && !problem}>
      <span>{facts.join(" · ")}</span>
      {problem ? (
        <span class="log-problem" role="alert">
          {problem instanceof Error ? problem.message : String(problem)}
        </span>
      ) : null}
      <span class="log-note" role="status">
        {note}
      </span>
    </div>
  );
}
