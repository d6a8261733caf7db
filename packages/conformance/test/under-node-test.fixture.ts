import { describe, test } from "node:test";
import { memoryStore } from "@tenure/core";
import { testStore } from "../src/index.ts";
import { sabotaged } from "./sabotage.ts";

/** As a third party would run it, in a file of `node --test`. */
const fault = process.env["SABOTAGE"];
const stores = fault === undefined ? [] : [...sabotaged[fault]!()];
const memory = memoryStore();

testStore(
  { describe, test },
  { name: "under node:test", open: () => stores.shift() ?? memory, unreachable: null, mixedUp: null },
);
