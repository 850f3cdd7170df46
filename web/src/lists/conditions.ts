// The conditions of a list, each with a word of the command: in the address, as chips, and in sentences.
import { commandLine } from "../ui/quoting";

export interface Condition {
  readonly word: string;
  readonly value: string;
}

/** A word that a list knows, and what the page can offer for it. */
export interface FilterWord {
  readonly word: string;
  readonly values: readonly string[];
  /** Whether another condition takes the place of the former. */
  readonly isSingle?: boolean;
}

export const FREE = "text";

/** The conditions in a query, in the order of the words. */
export function conditionsOf(query: URLSearchParams, words: readonly string[]): Condition[] {
  return words.flatMap((word) => query.getAll(word).map((value) => ({ word, value })));
}

/** Conditions as changes of the query, for `withQuery`; words without any are removed. */
export function queryOf(
  conditions: readonly Condition[],
  words: readonly string[],
): Record<string, readonly string[] | null> {
  return Object.fromEntries(
    words.map((word) => {
      const values = conditions.filter((one) => one.word === word).map((one) => one.value);
      return [word, values.length ? values : null];
    }),
  );
}

/** The conditions with one more; one that is there already is not added. */
export function withCondition(
  conditions: readonly Condition[],
  added: Condition,
  words: readonly FilterWord[],
): Condition[] {
  const isSingle = words.some(({ word, isSingle }) => word === added.word && isSingle);
  const kept = conditions.filter(
    (one) => one.word !== added.word || !(isSingle || one.value === added.value),
  );
  return [...kept, added];
}

/** What is typed as a condition: `tag nightly`, `tag:nightly`, `tag=nightly`; any other text is searched for. */
export function parsed(typed: string, words: readonly FilterWord[]): Condition | null {
  const text = typed.trim();
  if (!text) return null;
  const [, word = "", value = ""] = /^(\w+)\s*[\s:=]\s*(.+)$/.exec(text) ?? [];
  if (words.some((known) => known.word === word.toLowerCase())) return { word: word.toLowerCase(), value };
  return { word: FREE, value: text };
}

const MOST = 8;

/** What may be meant by what is typed: whole conditions, and words that wait for a value. */
export function suggestions(
  typed: string,
  words: readonly FilterWord[],
  present: readonly Condition[],
): Condition[] {
  const text = typed.trimStart().toLowerCase();
  const [, named = "", begun = ""] = /^(\w+)\s*[\s:=]\s*(.*)$/.exec(text) ?? [];
  const known = words.find(({ word }) => word === named);
  const isNew = (one: Condition) =>
    !present.some(({ word, value }) => word === one.word && value === one.value);
  const matching = (word: FilterWord, part: string) =>
    word.values
      .filter((value) => value.toLowerCase().includes(part.trim()))
      .map((value) => ({ word: word.word, value }))
      .filter(isNew);
  if (known) return matching(known, begun).slice(0, MOST);
  const begun_words = words
    .filter(({ word }) => word.startsWith(text))
    .map(({ word }) => ({ word, value: "" }));
  const values = text.trim() ? words.flatMap((word) => matching(word, text)) : [];
  return [...begun_words, ...values].slice(0, MOST);
}

const CLAUSES: Readonly<Record<string, (values: string) => string>> = {
  status: (values) => `is ${values}`,
  name: (values) => `has the name ${values}`,
  tag: (values) => `has the tag ${values}`,
  owner: (values) => `is of ${values}`,
  executor: (values) => `runs on ${values}`,
  experiment: (values) => `is of ${values}`,
  prefix: (values) => `is below ${values}`,
  text: (values) => `contains “${values}”`,
  since: (values) => `is ${isDuration(values) ? `younger than ${spelled(values)}` : `of ${values} or later`}`,
};

/** The words whose conditions all have to be met; of other words one is enough. */
const ALL_OF = new Set(["tag"]);

/** The conditions in words: `is INTERRUPTED, has the tag nightly and is younger than 7 days`. */
export function inWords(conditions: readonly Condition[]): string {
  const words = [...new Set(conditions.map((one) => one.word))];
  const clauses = words.map((word) => {
    const values = conditions.filter((one) => one.word === word).map((one) => one.value);
    const joined = series(values, ALL_OF.has(word) ? "and" : "or");
    return (CLAUSES[word] ?? ((text) => `has the ${word} ${text}`))(joined);
  });
  return series(clauses, "and");
}

function series(parts: readonly string[], last: string): string {
  if (parts.length < 2) return parts.join("");
  return `${parts.slice(0, -1).join(", ")} ${last} ${parts.at(-1)}`;
}

const DURATION = /^(\d+(?:\.\d+)?)([smhd])$/;
const UNITS: Readonly<Record<string, string>> = { s: "second", m: "minute", h: "hour", d: "day" };

function isDuration(text: string): boolean {
  return DURATION.test(text);
}

function spelled(text: string): string {
  const [, number = "", unit = ""] = DURATION.exec(text) ?? [];
  return `${number} ${UNITS[unit]}${number === "1" ? "" : "s"}`;
}

/** The command with the same conditions, each an option of it. */
export function command(words: readonly string[], conditions: readonly Condition[]): string {
  return commandLine(...words, ...conditions.flatMap(({ word, value }) => [`--${word}`, value]));
}
