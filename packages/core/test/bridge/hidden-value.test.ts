import { hiddenValue } from "@tenure/core/bridge";
import { expect, test } from "vitest";

test.for([
  { name: "a plain object", object: {} },
  { name: "an object without a prototype", object: Object.create(null) as object },
  { name: "a frozen object", object: Object.freeze({}) },
])("$name keeps the last value of each hiddenValue", ({ object }) => {
  const [first, second] = [hiddenValue<number>(), hiddenValue<number>()];
  expect(first.get(object)).toBeUndefined();
  first.set(object, 1);
  second.set(object, 2);
  first.set(object, 3);
  expect([first.get(object), second.get(object)]).toEqual([3, 2]);
});

test("an object that is frozen later keeps its value, which can still be changed", () => {
  const values = hiddenValue<number>();
  const object = {};
  values.set(object, 1);
  Object.freeze(object);
  expect(values.get(object)).toBe(1);
  values.set(object, 2);
  expect(values.get(object)).toBe(2);
});

test("copies of an object do not have its value, and its keys do not show it", () => {
  const values = hiddenValue<number>();
  const object = { a: 1 };
  values.set(object, 2);
  expect(values.get({ ...object })).toBeUndefined();
  expect(values.get(structuredClone(object))).toBeUndefined();
  expect(values.get(Object.create(object) as object)).toBeUndefined();
  expect(Reflect.ownKeys(object)).toEqual(["a"]);
});
