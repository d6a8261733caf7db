import { readFileSync } from "node:fs";
import { testStore } from "@tenure/conformance";
import { describe, expect, test } from "vitest";
import { Backend, yourStore } from "./companions/packages-conformance-README-md/your-store.ts";

const readme = new URL("../../packages/conformance/README.md", import.meta.url);
const store = new URL("companions/packages-conformance-README-md/your-store.ts", import.meta.url);

test("the README of the conformance suite contains the store that is tested here, unchanged", () => {
  const printed = `\`\`\`ts\n${readFileSync(store, "utf8")}\`\`\`\n`;
  expect(readFileSync(readme, "utf8")).toContain(printed);
});

const backend = new Backend();
testStore(
  { describe, test },
  { name: "the README's store", open: () => yourStore(backend), unreachable: null, mixedUp: null },
);
