import { MongoClient } from "mongodb";
import { expect, test } from "vitest";
import { mongoStore } from "../src/index.ts";

const collection = new MongoClient("mongodb://127.0.0.1:1").db("app").collection("sessions");

test("mongoStore refuses a value that is not a Collection of the driver, and says what to pass instead", () => {
  for (const wrong of [undefined, null, {}, "sessions", collection.db, new Map()]) {
    // Cast, like a caller without types.
    expect(() => mongoStore(wrong as never)).toThrow(
      new RegExp('^the collection must be .*collection\\("sessions"\\)'),
    );
  }
});

test("mongoStore refuses invalid options", () => {
  for (const tombstoneMinimum of [0, -1, 1.5, Number.NaN, Infinity, "1h" as never]) {
    expect(() => mongoStore(collection, { tombstoneMinimum })).toThrow(TypeError);
  }
  expect(() => mongoStore(collection, { tombstoneMinimun: 1 } as object)).toThrow(
    new TypeError("Unknown option tombstoneMinimun. Known options: tombstoneMinimum, readConcern"),
  );
  for (const readConcern of ["majority", "available", "", null] as never[]) {
    expect(() => mongoStore(collection, { readConcern })).toThrow(TypeError);
  }
});
