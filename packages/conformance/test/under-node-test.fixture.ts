import { describe, test } from "node:test";
import { memoryStore } from "@tenure/core";
import { testStore } from "../src/index.ts";
import { sabotagedStores } from "./sabotaged-stores.ts";

/**
 * A test file for `node --test`, as a third party would write it. The environment variable SABOTAGE selects a
 * sabotaged store.
 */
const fault = process.env["SABOTAGE"];
const memory = memoryStore();
const underTest = sabotagedStores[fault ?? ""]?.() ?? {
  open: () => memory,
  unreachable: null,
  mixedUp: null,
};

testStore({ describe, test }, { ...underTest, name: "under node:test" });
