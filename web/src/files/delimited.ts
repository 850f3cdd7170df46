// Tables in text: CSV and TSV.

export interface DelimitedTable {
  readonly head: readonly string[];
  readonly rows: readonly (readonly string[])[];
  /** How many rows the text has, without the head. */
  readonly total: number;
}

/**
 * The first rows of a table; cells in quotes may contain the separator, line ends and doubled quotes.
 *
 * @param most how many rows are returned
 * @param isCut whether the text ends in the middle of a row, which is then left out
 */
export function parseDelimited(text: string, separator: string, most: number, isCut = false): DelimitedTable {
  const rows: string[][] = [];
  let total = 0;
  let row: string[] = [];
  let cell = "";
  let isQuoted = false;
  let index = text.charCodeAt(0) === 0xfeff ? 1 : 0;
  const endCell = () => {
    row.push(cell);
    cell = "";
  };
  const endRow = () => {
    endCell();
    if (row.length > 1 || row[0]) {
      total += 1;
      if (rows.length <= most) rows.push(row);
    }
    row = [];
  };
  for (; index < text.length; index += 1) {
    const character = text[index] as string;
    if (isQuoted) {
      if (character !== '"') cell += character;
      else if (text[index + 1] === '"') {
        cell += '"';
        index += 1;
      } else isQuoted = false;
    } else if (character === '"' && cell === "") isQuoted = true;
    else if (character === separator) endCell();
    else if (character === "\n") endRow();
    else if (character !== "\r" || text[index + 1] !== "\n") cell += character;
  }
  if (!isCut && (cell || row.length)) endRow();
  const [head = [], ...rest] = rows;
  return { head, rows: rest, total: Math.max(0, total - 1) };
}
