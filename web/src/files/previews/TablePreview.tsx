import { useMemo } from "preact/hooks";
import { bytes, count } from "../../ui/format";
import { LongText } from "../../ui/LongText";
import { parseDelimited } from "../delimited";
import type { TextProps } from "./Preview";
import { TextPreview } from "./TextPreview";

const MOST_ROWS = 1_000;
const MOST_COLUMNS = 200;
const MOST_CELLS = 10_000;
const NUMBER = /^[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?$|^-?(nan|inf(inity)?)$/i;

/** A table: its first rows, and how many it has. */
export function TablePreview({ file, ...props }: TextProps) {
  const { text, isCut, total } = props;
  const table = useMemo(() => {
    const separator = /\.tsv$/i.test(file.name) || file.type.includes("tab-separated") ? "\t" : ",";
    return parseDelimited(text, separator, MOST_ROWS, isCut);
  }, [text, isCut, file.name, file.type]);
  if (!table.head.length) return <TextPreview file={file} {...props} />;
  const head = table.head.slice(0, MOST_COLUMNS);
  const rows = table.rows.slice(0, Math.ceil(MOST_CELLS / head.length));
  const isNumber = head.map((_, column) => rows.every((row) => !row[column] || NUMBER.test(row[column])));
  return (
    <>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls by keys */}
      <section class="table-preview" tabIndex={0} aria-label="table">
        <table class="data-table">
          <thead>
            <tr>
              {head.map((name, column) => (
                <th key={column} scope="col" class={isNumber[column] ? "number" : ""}>
                  <LongText text={name} most={240} />
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {rows.map((row, index) => (
              <tr key={index}>
                {head.map((_, column) => (
                  <td key={column} class={isNumber[column] ? "number" : ""} dir="auto">
                    <LongText text={row[column] ?? ""} most={240} />
                  </td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </section>
      <p class="preview-note">
        {rowsShown(rows.length, table.total, isCut ? total : null)}
        {table.head.length > head.length
          ? ` The first ${count(head.length)} of ${count(table.head.length)} columns.`
          : ""}
      </p>
    </>
  );
}

function rowsShown(shown: number, all: number, cutOf: number | null): string {
  if (cutOf !== null)
    return `The first ${count(shown)} rows; of ${bytes(cutOf)} the first megabyte was read.`;
  return shown < all ? `The first ${count(shown)} of ${count(all)} rows.` : `${count(all)} rows.`;
}
