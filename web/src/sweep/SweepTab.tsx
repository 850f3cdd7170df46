import { useMemo } from "preact/hooks";
import { experimentName } from "../api/addresses";
import type { StatusDocument } from "../api/documents/status";
import { navigate, route, withQuery } from "../app/route";
import type { TabProps } from "../experiment/tabs";
import { SearchPart } from "../search/SearchPart";
import { CommandHint } from "../ui/CommandHint";
import { EmptyState } from "../ui/EmptyState";
import { count } from "../ui/format";
import { StatusMark } from "../ui/StatusMark";
import { Comparison } from "./Comparison";
import type { Row } from "./rows";

const EVERY = "*"; // in the address: all tasks

/** The members of a sweep or group: their params, results and statuses. */
export function SweepTab({ experiment, status }: TabProps) {
  const groups = groupsOf(status);
  const asked = route.value.query.get("sweep");
  const picked = asked === EVERY ? null : (groups.find((group) => group.id === asked) ?? groups[0] ?? null);
  const name = experimentName(experiment);
  const search = status.searches?.find((each) => each.id === picked?.id);
  const pruned = useMemo(() => prunedOf(status), [status]);
  const topics = [`experiment:${name}`, ...(status.status === "RUNNING" ? ["records"] : [])];
  return (
    <Comparison
      key={picked?.id ?? EVERY}
      source={{ experiments: [name], prefixes: [], task: picked?.id ?? null }}
      topics={topics}
      within={picked?.id ?? ""}
      fileName={[status.id, ...(picked ? [picked.id] : [])].join("-").replaceAll("/", "-")}
      chips={
        <label class="choice-chip">
          {search ? "search" : picked?.isSweep ? "sweep" : picked ? "group" : "tasks"}
          <select
            aria-label="What is compared"
            value={picked?.id ?? EVERY}
            onChange={(event) =>
              navigate(
                withQuery({
                  sweep: event.currentTarget.value,
                  where: null,
                  sort: null,
                  key: null,
                  axis: null,
                  hide: null,
                  pick: null,
                  group_by: null,
                  x: null,
                  y: null,
                  shape: null,
                }),
              )
            }
          >
            {groups.map((group) => (
              <option key={group.id} value={group.id}>
                {group.id} ×{group.members}
              </option>
            ))}
            <option value={EVERY}>all tasks ×{status.tasks.length}</option>
          </select>
        </label>
      }
      pruned={pruned}
      {...(search
        ? {
            figures: (lifted, onLift) => (
              <SearchPart experiment={experiment} search={search.id} lifted={lifted} onLift={onLift} />
            ),
          }
        : {})}
      empty={
        <EmptyState>
          <p>
            No task of this experiment has a record, so there is nothing to compare. A program makes one with:
          </p>
          <p>
            <CommandHint command="from nemorun_cli import Experiment" />
          </p>
        </EmptyState>
      }
      foot={(rows) => <WithoutRecord status={status} picked={picked?.id ?? null} rows={rows} />}
    />
  );
}

/** The tasks that their search pruned. */
function prunedOf(status: StatusDocument): ReadonlySet<string> {
  const pruned = status.tasks.filter((task) => task.status === "SUCCEEDED" && task.reason === "pruned");
  return new Set(pruned.map((task) => task.id));
}

interface Group {
  readonly id: string;
  readonly members: number;
  readonly isSweep: boolean;
}

/** The sweeps, then the other groups; the largest first. */
function groupsOf(status: StatusDocument): Group[] {
  const sweeps = (status.sweeps ?? []).map((sweep) => ({
    id: sweep.id,
    members: sweep.members,
    isSweep: true,
  }));
  const counts = new Map<string, number>();
  for (const task of status.tasks) {
    if (task.group) counts.set(task.group, (counts.get(task.group) ?? 0) + 1);
  }
  const others = [...counts]
    .filter(([id]) => !sweeps.some((sweep) => sweep.id === id))
    .map(([id, members]) => ({ id, members, isSweep: false }));
  const bySize = (one: Group, other: Group) => other.members - one.members;
  return [...sweeps.sort(bySize), ...others.sort(bySize)];
}

/** The tasks that have no row, because they have no record. */
function WithoutRecord(props: { status: StatusDocument; picked: string | null; rows: readonly Row[] }) {
  const prefixes = new Set(props.rows.flatMap((row) => row.prefixes));
  const own = props.status.tasks.filter(
    (task) => !props.picked || task.group === props.picked || task.id.startsWith(`${props.picked}/`),
  );
  const without = own.filter((task) => ![...prefixes].some((prefix) => prefix.endsWith(`/${task.id}`)));
  if (!without.length) return null;
  const counts = new Map<string, number>();
  for (const task of without) counts.set(task.status, (counts.get(task.status) ?? 0) + 1);
  return (
    <p class="comparison-foot">
      {count(without.length)} of {count(own.length)} have no record, and so no row:{" "}
      {[...counts].map(([word, number], index) => (
        <span key={word}>
          {index ? ", " : ""}
          <StatusMark status={word} /> {count(number)} {word}
        </span>
      ))}
      .
    </p>
  );
}
