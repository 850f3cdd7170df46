import { expect, test } from "vitest";
import { brushBetween, brushesOf, extent, keeps, parsed, withBrush } from "./brushes";
import { metricColumn, paramColumn } from "./columns";
import { scaleOf } from "./scales";

const metrics = ["train/loss", "top:max"];
const loss = metricColumn("train/loss:min", metrics);
const lr = paramColumn("lr", metrics);
const optimizer = paramColumn("optimizer", metrics);
const columns = [lr, optimizer, loss];

test("a condition is read by its longest known key", () => {
  expect(parsed("train/loss:min<=0.5", columns)).toMatchObject({
    column: loss,
    operator: "<=",
    value: "0.5",
  });
  expect(parsed("loss:min < 1", columns)?.column).toBe(loss);
  expect(parsed("a=b>=3", [paramColumn("a=b", [])])).toMatchObject({ operator: ">=", value: "3" });
  expect(parsed("nonsense", columns)).toBeNull();
});

test("a name that ends like a function is the metric of that name", () => {
  expect(metricColumn("top:max", metrics)).toMatchObject({ name: "top:max", fn: "last" });
  expect(paramColumn("loss", metrics).key).toBe("params.loss");
});

test("a brush becomes the shortest bounds that keep the same rows, and only those that leave out some", () => {
  const scale = scaleOf([0.883, 0.929, 0.9574, 0.9648, 0.9741]);
  const brush = brushBetween(scale, 0.86, 1.0);
  expect(brush).toEqual({ kind: "numbers", from: 0.96, to: null });
  expect(withBrush(["lr<1"], loss, brush, columns, scale)).toEqual(["lr<1", "train/loss:min>=0.96"]);
  expect(brushBetween(scale, 0, 1)).toBeNull();
});

test("a brush that ends at a value of a logarithmic axis keeps it", () => {
  const scale = scaleOf([0.001, 0.01, 0.1], { log: true });
  expect(brushBetween(scale, scale.place(0.01) ?? 0, 1)).toEqual({ kind: "numbers", from: 0.01, to: null });
});

test("a brush of a reversed axis keeps the values that it covers", () => {
  const scale = scaleOf([1, 2, 3, 4], { isReversed: true });
  const brush = brushBetween(scale, 0.5, 1);
  expect(brush && [1, 2, 3, 4].map((value) => keeps(brush, value))).toEqual([true, true, false, false]);
  expect(brush && extent(brush, scale)[1]).toBe(1);
});

test("a brush over categories leaves out the others, or names the only one", () => {
  const scale = scaleOf(["adam", "sgd", "lion"]);
  const two = brushBetween(scale, 0, 0.5);
  expect(withBrush([], optimizer, two, columns, scale)).toEqual(["optimizer!=sgd"]);
  const one = brushBetween(scale, 0.9, 1);
  expect(withBrush(["optimizer!=sgd"], optimizer, one, columns, scale)).toEqual(["optimizer=sgd"]);
});

test("a text that would mean something else is quoted", () => {
  const scale = scaleOf(["1", "true", "a*"]);
  expect(withBrush([], optimizer, brushBetween(scale, 0, 0.1), columns, scale)).toEqual(['optimizer="1"']);
});

test("conditions make the brushes, and a missing value is never kept", () => {
  const scale = () => scaleOf([0, 1, 2]);
  const brushes = brushesOf(["lr>=0.5", "lr<2", "unknown=1"], columns, scale);
  expect([...brushes]).toEqual([["lr", { kind: "numbers", from: 0.5, to: 2 }]]);
  const brush = brushes.get("lr");
  expect(brush && [undefined, Number.NaN, 1].map((value) => keeps(brush, value))).toEqual([
    false,
    false,
    true,
  ]);
});
