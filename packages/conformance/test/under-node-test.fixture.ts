import { describe, test } from "node:test";
import { memoryStore } from "@tenure/core";
import { testStore } from "../src/index.ts";
import { sabotaged } from "./sabotage.ts";

/** A test file as a third party would write it, for `node --test`. */
const fault = process.env["SABOTAGE"];
const memory = memoryStore();
const underTest = sabotaged[fault ?? ""]?.() ?? { open: () => memory, unreachable: null, mixedUp: null };

testStore({ describe, test }, { ...underTest, name: "under node:test" });
