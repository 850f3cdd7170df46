import { recordDocument } from "../api/addresses";
import type { EnvironmentDocument } from "../api/documents/environment";
import { useDocument } from "../api/useDocument";
import { navigate, route, withQuery } from "../app/route";
import { DataPanel, Fact } from "../ui/DataPanel";
import { ErrorNote } from "../ui/ErrorNote";
import { type Json, plainValue } from "../ui/exactJson";
import { count } from "../ui/format";
import { LongText } from "../ui/LongText";
import { visibleText } from "../ui/visibleText";
import { entryOf, type RecordTabProps } from "./recordTabs";

type Environment = EnvironmentDocument["openings"][number];

/** What an opening ran in: its repository and its packages; with another opening, what differs. */
export function RecordEnvironment({ record, view }: RecordTabProps) {
  const { document, error, reload } = useDocument<EnvironmentDocument>(
    recordDocument(record, "environment"),
    [`record:${record.prefix}`],
  );
  if (!document) return error ? <ErrorNote error={error} retry={reload} /> : null;
  const query = route.value.query;
  const openings = document.openings;
  const picked = openings.find((each) => each.id === query.get("opening")) ?? openings.at(-1);
  const other = openings.find((each) => each.id === query.get("against") && each !== picked) ?? null;
  if (!picked) return <p class="data-panel-note">No opening recorded its environment.</p>;
  const names = openingNames(view);
  return (
    <>
      <OpeningPicker openings={openings} names={names} picked={picked} other={other} />
      {other ? (
        <Differences before={other} after={picked} names={names} />
      ) : (
        <div class="record-columns">
          <Packages packages={picked.packages} />
          <Git git={picked.git as Record<string, Json> | null} diff={picked.diff} />
        </div>
      )}
    </>
  );
}

/** What each opening is called: `opening 2, attempt 1`. */
export function openingNames(view: RecordTabProps["view"]): ReadonlyMap<string, string> {
  return new Map(
    entryOf(view).openings.map((opening, index) => [
      opening.id,
      `opening ${index + 1}${opening.attempt === null ? "" : `, attempt ${opening.attempt}`}`,
    ]),
  );
}

interface PickerProps {
  readonly openings: readonly { readonly id: string }[];
  readonly names: ReadonlyMap<string, string>;
  readonly picked: { readonly id: string };
  readonly other?: { readonly id: string } | null;
}

/** Chooses among several openings; nothing if there is one. */
export function OpeningPicker({ openings, names, picked, other }: PickerProps) {
  if (openings.length < 2) return null;
  const options = openings.map(({ id }) => (
    <option key={id} value={id}>
      {names.get(id) ?? id}
    </option>
  ));
  return (
    <p class="opening-picker">
      <select
        class="field"
        aria-label="Opening"
        value={picked.id}
        onChange={({ currentTarget: { value } }) => navigate(withQuery({ opening: value }))}
      >
        {options}
      </select>
      {other === undefined ? null : (
        <select
          class="field"
          aria-label="Against another opening"
          value={other?.id ?? ""}
          onChange={({ currentTarget: { value } }) => navigate(withQuery({ against: value || null }))}
        >
          <option value="">against no other</option>
          {openings.map(({ id }) =>
            id === picked.id ? null : (
              <option key={id} value={id}>
                against {names.get(id) ?? id}
              </option>
            ),
          )}
        </select>
      )}
    </p>
  );
}

function Packages({ packages }: { packages: Readonly<Record<string, string>> }) {
  const typed = route.value.query.get("find") ?? "";
  const all = Object.entries(packages);
  const shown = all.filter(([name]) => name.toLowerCase().includes(typed.trim().toLowerCase()));
  const find = (
    <input
      class="field"
      type="search"
      aria-label="Find packages"
      placeholder="Find packages"
      value={typed}
      onInput={({ currentTarget: { value } }) =>
        navigate(withQuery({ find: value || null }), { replace: true })
      }
    />
  );
  return (
    <DataPanel title="Packages" about={count(all.length)} tools={all.length ? find : null}>
      {all.length ? (
        <table class="data-table">
          <tbody>
            {shown.map(([name, version]) => (
              <tr key={name}>
                <td class="mono">
                  <LongText text={name} most={200} />
                </td>
                <td class="number">
                  <LongText text={version} most={200} />
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      ) : (
        <p class="data-panel-note">No packages were recorded.</p>
      )}
      {all.length && !shown.length ? (
        <p class="data-panel-note">None of {count(all.length)} packages matches.</p>
      ) : null}
    </DataPanel>
  );
}

function Git({ git, diff }: { git: Readonly<Record<string, Json>> | null; diff: string | null }) {
  return (
    <DataPanel title="Git">
      {git ? (
        <dl class="record-facts">
          {Object.entries(git).map(([name, value]) => (
            <Fact key={name} name={visibleText(name)}>
              <span class="mono">
                <LongText text={plainValue(value)} />
              </span>
            </Fact>
          ))}
          <Fact name="uncommitted">
            {diff ? (
              <a class="link" href={withQuery({ tab: "diff" })}>
                the changes
              </a>
            ) : (
              "nothing was recorded"
            )}
          </Fact>
        </dl>
      ) : (
        <p class="data-panel-note">It ran outside of a repository.</p>
      )}
    </DataPanel>
  );
}

interface DifferencesProps {
  readonly before: Environment;
  readonly after: Environment;
  readonly names: ReadonlyMap<string, string>;
}

function Differences({ before, after, names }: DifferencesProps) {
  const rows = [
    ...differing(
      (before.git ?? {}) as Record<string, Json>,
      (after.git ?? {}) as Record<string, Json>,
      "git ",
    ),
    ...differing(before.packages, after.packages, ""),
  ];
  if (before.diff !== after.diff) {
    rows.push(["uncommitted changes", said(before.diff), said(after.diff)]);
  }
  const same = Object.keys(after.packages).filter(
    (name) => before.packages[name] === after.packages[name],
  ).length;
  return (
    <DataPanel
      title="What differs"
      about={`${count(rows.length)} differ, ${count(same)} packages are the same`}
    >
      {rows.length ? (
        <div class="table-scroll">
          <table class="data-table">
            <thead>
              <tr>
                <th scope="col">Name</th>
                <th scope="col">{names.get(before.id) ?? before.id}</th>
                <th scope="col">{names.get(after.id) ?? after.id}</th>
              </tr>
            </thead>
            <tbody>
              {rows.map(([name, old, now]) => (
                <tr key={name}>
                  <td class="mono">
                    <LongText text={name} most={200} />
                  </td>
                  <td class="mono">
                    <LongText text={old} />
                  </td>
                  <td class="mono">
                    <LongText text={now} />
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      ) : (
        <p class="data-panel-note">Nothing differs.</p>
      )}
    </DataPanel>
  );
}

function differing(
  before: Readonly<Record<string, Json>>,
  after: Readonly<Record<string, Json>>,
  label: string,
): [string, string, string][] {
  const names = [...new Set([...Object.keys(before), ...Object.keys(after)])].sort();
  return names
    .map((name): [string, string, string] => [
      label + name,
      plainValue(before[name]),
      plainValue(after[name]),
    ])
    .filter(([, old, now]) => old !== now);
}

function said(diff: string | null): string {
  return diff ? `${count(diff.split("\n").length - 1)} lines of a diff` : "none";
}
