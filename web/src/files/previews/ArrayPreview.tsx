import { useEffect, useState } from "preact/hooks";
import { bytes, count } from "../../ui/format";
import { visibleText } from "../../ui/visibleText";
import { type ArrayHeader, arrayHeader, entryBytes, zipEntries } from "../arrayHeaders";
import { contentOf } from "../savedFiles";
import { ContentProblem } from "./NotHere";
import type { PreviewProps } from "./Preview";

const HEAD = 4_096;
const DIRECTORY = 65_536;
const MOST_ARRAYS = 50;

interface NamedArray {
  readonly name: string;
  readonly header: ArrayHeader | null;
  readonly bytes: number;
}

/** The shapes and types of NumPy's arrays; their numbers are not read. */
export function ArrayPreview({ record, file }: PreviewProps) {
  const [state, setState] = useState<{ arrays: NamedArray[] | null; error: unknown }>({
    arrays: null,
    error: null,
  });
  useEffect(() => {
    let isCurrent = true;
    arraysOf({ record, file }).then(
      (arrays) => isCurrent && setState({ arrays, error: null }),
      (error) => isCurrent && setState({ arrays: null, error }),
    );
    return () => {
      isCurrent = false;
    };
  }, [record.prefix, record.root, file.checksum]);
  if (state.error) return <ContentProblem file={file} error={state.error} />;
  if (!state.arrays) return <p class="data-panel-note">Loading…</p>;
  if (!state.arrays.length) return <p class="data-panel-note">No array of NumPy was found in it.</p>;
  return (
    <div class="table-preview">
      <table class="data-table">
        <thead>
          <tr>
            <th scope="col">Array</th>
            <th scope="col">Type</th>
            <th scope="col">Shape</th>
            <th scope="col" class="number">
              Size
            </th>
          </tr>
        </thead>
        <tbody>
          {state.arrays.map((array) => (
            <tr key={array.name}>
              <td class="mono">{visibleText(array.name)}</td>
              <td class="mono">{array.header?.type ?? "unknown"}</td>
              <td class="mono">{array.header ? shapeOf(array.header) : "unknown"}</td>
              <td class="number">{bytes(array.bytes)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function shapeOf({ shape }: ArrayHeader): string {
  return shape.length ? shape.map(count).join(" × ") : "one number";
}

async function arraysOf({ record, file }: PreviewProps): Promise<NamedArray[]> {
  const range = (first: number, end: number) =>
    contentOf(record, file.checksum, { first, end: Math.min(end, file.bytes) }).then(
      (content) => content.bytes,
    );
  if (/\.npy$/i.test(file.name)) {
    const header = arrayHeader(await range(0, HEAD));
    const name = file.name.split("/").at(-1) ?? file.name;
    return header ? [{ name, header, bytes: file.bytes }] : [];
  }
  const entries = zipEntries(await range(Math.max(0, file.bytes - DIRECTORY), file.bytes), file.bytes) ?? [];
  return Promise.all(
    entries.slice(0, MOST_ARRAYS).map(async (entry) => {
      const local = await range(entry.at, entry.at + HEAD);
      const header = arrayHeader(await entryBytes(entry, local));
      return { name: entry.name.replace(/\.npy$/, ""), header, bytes: entry.bytes };
    }),
  );
}
