import { expect, test } from "vitest";
import { axisChoice, axisText, choiceOf, command, documentPath, sortKey, sortText } from "./request";

const source = { experiments: ["alice/here/net_1795895544"], prefixes: ["alice"], task: "train" };

test("the command asks for what the document has", () => {
  const choice = choiceOf(
    new URLSearchParams(
      "where=digits/accuracy:max>=0.962&sort=-digits/accuracy:max&key=loss:min&group_by=lr&over=seed",
    ),
  );
  expect(command(source, choice)).toBe(
    "exp compare net_1795895544 alice/ --task train -k loss:min --where 'digits/accuracy:max>=0.962' " +
      "--sort digits/accuracy:max --descending --group-by lr --over seed",
  );
  const asked = new URL(documentPath(source, choice), "http://server").searchParams;
  expect(Object.fromEntries(asked)).toEqual({
    experiment: "alice/here/net_1795895544",
    prefix: "alice",
    task: "train",
    where: "digits/accuracy:max>=0.962",
    key: "loss:min",
    sort: "digits/accuracy:max",
    descending: "1",
    group_by: "lr",
    over: "seed",
  });
});

test.each(["loss", "-loss", "+-odd", "--odd"])("the sort key %s comes back from the address", (text) => {
  expect(sortText(sortKey(text))).toBe(text);
});

test.each([":lr", "log:train/loss:min", "linear,small:a:b", "large:x"])("so does the axis %s", (text) => {
  expect(axisText(axisChoice(text))).toBe(text);
});
