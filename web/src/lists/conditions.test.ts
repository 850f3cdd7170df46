import { expect, test } from "vitest";
import { command, type FilterWord, inWords, parsed, suggestions, withCondition } from "./conditions";

const WORDS: FilterWord[] = [
  { word: "name", values: ["nightly", "vit"] },
  { word: "tag", values: ["nightly", "vision"] },
  { word: "since", values: ["1h", "7d"], isSingle: true },
  { word: "text", values: [], isSingle: true },
];

test("what is typed is a condition of a word, or a text", () => {
  for (const typed of ["tag a b", "tag:a b", "Tag = a b "]) {
    expect(parsed(typed, WORDS)).toEqual({ word: "tag", value: "a b" });
  }
  expect(parsed("loss is nan", WORDS)).toEqual({ word: "text", value: "loss is nan" });
  expect(parsed("  ", WORDS)).toBeNull();
});

test("suggestions are words, and values of the word that is typed or of all", () => {
  expect(suggestions("", WORDS, []).map(({ word }) => word)).toEqual(["name", "tag", "since", "text"]);
  expect(suggestions("tag vi", WORDS, [])).toEqual([{ word: "tag", value: "vision" }]);
  expect(suggestions("night", WORDS, [{ word: "tag", value: "nightly" }])).toEqual([
    { word: "name", value: "nightly" },
  ]);
});

test("a condition is there once, and a single one takes the place of the former", () => {
  const first = withCondition([], { word: "since", value: "1h" }, WORDS);
  expect(withCondition(first, { word: "since", value: "7d" }, WORDS)).toEqual([
    { word: "since", value: "7d" },
  ]);
  const tags = withCondition([{ word: "tag", value: "a" }], { word: "tag", value: "b" }, WORDS);
  expect(withCondition(tags, { word: "tag", value: "a" }, WORDS)).toHaveLength(2);
});

test("conditions are said in words", () => {
  const conditions = [
    { word: "status", value: "FAILED" },
    { word: "status", value: "INTERRUPTED" },
    { word: "tag", value: "a" },
    { word: "tag", value: "b" },
    { word: "since", value: "1d" },
  ];
  expect(inWords(conditions)).toBe("is FAILED or INTERRUPTED, has the tag a and b and is younger than 1 day");
  expect(inWords([{ word: "since", value: "2026-11-22" }])).toBe("is of 2026-11-22 or later");
});

test("the command has the same conditions, quoted", () => {
  const conditions = [{ word: "tag", value: "it's; rm -rf ~" }];
  expect(command(["exp", "list"], conditions)).toBe(`exp list --tag 'it'\\''s; rm -rf ~'`);
});
