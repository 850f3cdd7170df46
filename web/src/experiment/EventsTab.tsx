import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { experimentDocument, experimentName } from "../api/addresses";
import { ask } from "../api/client";
import type { EventListDocument } from "../api/documents/event-list";
import { navigate, route, withQuery } from "../app/route";
import { watch } from "../live/live";
import { CopyButton } from "../ui/CopyButton";
import { EmptyState } from "../ui/EmptyState";
import { ErrorNote } from "../ui/ErrorNote";
import { absolute, count } from "../ui/format";
import { asTsv, filtered, type LedgerEvent, type LoadedEvents, NOTHING, withPage } from "./events";
import { clockTime } from "./facts";
import { taskHref } from "./pick";
import type { TabProps } from "./tabs";
import "./EventsTab.css";

const PAGE = 500; // events of a request
const MOST_SHOWN = 2_000; // rows

/** The events of the ledger, the latest first, with new ones as they are written. */
export function EventsTab({ experiment, status, timeline }: TabProps) {
  const path = experimentDocument(experiment, "events");
  const { loaded, error, earlier, retry } = useEvents(
    path,
    `experiment:${experimentName(experiment)}`,
    timeline?.events ?? null,
  );
  const task = route.value.query.get("of") ?? "";
  const kind = route.value.query.get("kind") ?? "";
  const kinds = useMemo(() => [...new Set(loaded.events.map((event) => event.event))].sort(), [loaded]);
  const shown = useMemo(() => filtered(loaded.events, task, kind).reverse(), [loaded, task, kind]);
  if (!loaded.events.length) {
    if (error) return <ErrorNote error={error} retry={retry} />;
    return timeline?.events === 0 ? <EmptyState>No events yet.</EmptyState> : null;
  }
  return (
    <div class="events-tab">
      <form class="events-tools" onSubmit={(event) => event.preventDefault()}>
        <label class="events-field">
          <span class="visually-hidden">Task</span>
          <input
            type="search"
            placeholder="Task or group"
            value={task}
            onInput={(event) =>
              navigate(withQuery({ of: event.currentTarget.value || null }), { replace: true })
            }
          />
        </label>
        <label class="events-field">
          <span class="visually-hidden">Event</span>
          <select
            value={kind}
            onChange={(event) => navigate(withQuery({ kind: event.currentTarget.value || null }))}
          >
            <option value="">All kinds</option>
            {kinds.map((each) => (
              <option key={each} value={each}>
                {each.replaceAll("_", " ")}
              </option>
            ))}
          </select>
        </label>
        <span class="events-count">{counted(loaded, shown.length, Boolean(task || kind))}</span>
        {loaded.first ? (
          <button type="button" class="button small" onClick={earlier}>
            Load {count(Math.min(PAGE, loaded.first))} earlier
          </button>
        ) : null}
        <CopyButton text={asTsv(shown)} label="Copy as tab-separated values" />
      </form>
      {error ? <ErrorNote error={error} retry={retry} /> : null}
      <EventTable events={shown.slice(0, MOST_SHOWN)} first={status.started} />
      {shown.length > MOST_SHOWN ? (
        <p class="events-note">
          {count(shown.length - MOST_SHOWN)} earlier ones are not drawn; a filter finds them.
        </p>
      ) : null}
    </div>
  );
}

function counted(loaded: LoadedEvents, shown: number, isFiltered: boolean): string {
  const present = loaded.events.length;
  const of =
    present < loaded.total ? `the last ${count(present)} of ${count(loaded.total)}` : count(loaded.total);
  return isFiltered ? `${count(shown)} of ${of} events` : `${of} events`;
}

function EventTable({ events }: { events: readonly LedgerEvent[]; first: string | null }) {
  return (
    <div class="events-scroll">
      <table class="events-table">
        <thead>
          <tr>
            <th>Time</th>
            <th>Event</th>
            <th>Task</th>
            <th>What</th>
            <th>By</th>
          </tr>
        </thead>
        <tbody>
          {events.map((event) => (
            <tr key={event.number}>
              <td>
                <time dateTime={event.time} title={absolute(event.time)}>
                  {clockTime(event.time)}
                </time>
              </td>
              <td class="events-kind">{event.event.replaceAll("_", " ")}</td>
              <td class="events-task">
                {event.task ? (
                  <a href={taskHref(event.task)} title={event.task}>
                    {event.task}
                  </a>
                ) : null}
              </td>
              <td class="events-what" dir="auto">
                <Summary text={event.summary} />
              </td>
              <td class="events-by">{event.by}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

const STATUS = /\b(SUCCEEDED|COMPLETED|FAILED|CANCELLED|SKIPPED|UNKNOWN)\b/;

/** A summary whose status has its colour. */
function Summary({ text }: { text: string }) {
  const [before = "", status, after = ""] = text.split(STATUS, 3);
  if (!status) return <>{text}</>;
  const rest = text.slice(before.length + status.length);
  return (
    <>
      {before}
      <span class={`events-status status-${status}`}>{status}</span>
      {rest || after}
    </>
  );
}

interface Events {
  readonly loaded: LoadedEvents;
  readonly error: unknown;
  earlier(): void;
  retry(): void;
}

/** The latest events at first, earlier ones on request, and new ones as the topic changes. */
function useEvents(path: string, topic: string, total: number | null): Events {
  const [loaded, setLoaded] = useState(NOTHING);
  const [error, setError] = useState<unknown>(null);
  const latest = useRef(loaded);
  latest.current = loaded;
  const isAsking = useRef(false);
  const [round, setRound] = useState(0);
  const load = async (after: number, limit: number) => {
    if (isAsking.current) return;
    isAsking.current = true;
    try {
      const page = await ask<EventListDocument>(
        `${path}?${new URLSearchParams({ after: `${after}`, limit: `${limit}` })}`,
      );
      latest.current = withPage(latest.current, page, after);
      setLoaded(latest.current);
      setError(null);
    } catch (problem) {
      setError(problem);
    } finally {
      isAsking.current = false;
    }
  };
  const begin = total === null ? null : 0;
  useEffect(() => {
    if (total === null) return;
    if (!latest.current.events.length) load(Math.max(0, total - PAGE), PAGE);
    const next = () => {
      const { first, events } = latest.current;
      load(first + events.length, PAGE);
    };
    return watch(topic, { onChange: next });
  }, [path, topic, begin, round]);
  return {
    loaded,
    error,
    earlier: () => {
      const after = Math.max(0, loaded.first - PAGE);
      load(after, loaded.first - after);
    },
    retry: () => setRound((before) => before + 1),
  };
}
