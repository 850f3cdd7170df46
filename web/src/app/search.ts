// What the search field finds, on the server and in what is shown.
import { experimentDocument, experimentHref, recordHref } from "../api/addresses";
import { ask } from "../api/client";
import type { ListDocument } from "../api/documents/list";
import type { RecordsDocument } from "../api/documents/records";
import type { StatusDocument } from "../api/documents/status";
import { route } from "./route";
import { tagsWith } from "./tags";

export interface Hit {
  readonly kind: "Experiments" | "Tasks" | "Records" | "Tags";
  readonly key: string;
  readonly name: string;
  /** What stands behind the name. */
  readonly second: string;
  readonly status: string | null;
  readonly href: string;
}

const FEW = 6; // of each kind

/** Experiments, tasks of the experiment that is open, records and tags that contain a text. */
export async function search(text: string, signal: AbortSignal): Promise<Hit[]> {
  const query = new URLSearchParams({ text, limit: "50" });
  const [experiments, records, tasks] = await Promise.all([
    ask<ListDocument>(`/v1/views/experiments?${query}`, { signal }),
    ask<RecordsDocument>(`/v1/views/records?${query}`, { signal }),
    tasksWith(text, signal),
  ]);
  const tags = tagsWith(text, [
    ...experiments.experiments.flatMap((each) => each.tags),
    ...records.records.flatMap((each) => each.tags),
  ]);
  return [
    ...experiments.experiments.slice(0, FEW).map(
      ({ id, owner = "", home = "", status, title }): Hit => ({
        kind: "Experiments",
        key: `experiment ${owner}/${home}/${id}`,
        name: id,
        second: title ?? "",
        status,
        href: experimentHref({ owner, home, id }),
      }),
    ),
    ...more("Experiments", experiments.total ?? 0, `/?${new URLSearchParams({ text })}`),
    ...tasks,
    ...records.records.slice(0, FEW).map(
      (record): Hit => ({
        kind: "Records",
        key: `record ${record.prefix}`,
        name: record.prefix,
        second: "",
        status: record.status,
        href: recordHref({ prefix: record.prefix }),
      }),
    ),
    ...more("Records", records.total ?? 0, `/records?${new URLSearchParams({ text })}`),
    ...tags.map(
      ({ tag }): Hit => ({
        kind: "Tags",
        key: `tag ${tag}`,
        name: tag,
        second: "",
        status: null,
        href: `/?${new URLSearchParams({ tag })}`,
      }),
    ),
  ];
}

function more(kind: Hit["kind"], total: number, href: string): Hit[] {
  if (total <= FEW) return [];
  return [
    { kind, key: `all ${kind}`, name: `All ${total} ${kind.toLowerCase()}`, second: "", status: null, href },
  ];
}

async function tasksWith(text: string, signal: AbortSignal): Promise<Hit[]> {
  const [first, owner, home, id] = route.peek().path;
  if (first !== "experiments" || !owner || !home || !id) return [];
  const experiment = { owner, home, id };
  const wanted = text.toLowerCase();
  try {
    const status = await ask<StatusDocument>(experimentDocument(experiment, "status"), { signal });
    return status.tasks
      .filter((task) => task.id.toLowerCase().includes(wanted))
      .slice(0, FEW)
      .map((task) => ({
        kind: "Tasks",
        key: `task ${task.id}`,
        name: task.id,
        second: "",
        status: task.status,
        href: `${experimentHref(experiment)}?${new URLSearchParams({ task: task.id })}`,
      }));
  } catch {
    return []; // the view itself says what is wrong with it
  }
}
