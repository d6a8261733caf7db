import { memoryStore } from "@tenure/core";
import { describe, test } from "vitest";
import { testStore } from "../src/index.ts";

const store = memoryStore();
testStore({ describe, test }, { name: "memory", open: () => store, unreachable: null, mixedUp: null });
