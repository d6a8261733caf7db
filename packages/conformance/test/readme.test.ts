import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import {
  Backend,
  yourStore,
} from "../../../test/readme/companions/packages-conformance-README-md/your-store.ts";
import { testStore } from "../src/index.ts";

const readme = readFileSync(new URL("../README.md", import.meta.url), "utf8");
const store = new URL(
  "../../../test/readme/companions/packages-conformance-README-md/your-store.ts",
  import.meta.url,
);

test("the README prints the store that is tested here", () => {
  expect(readme).toContain(`\`\`\`ts\n${readFileSync(store, "utf8")}\`\`\`\n`);
});

const backend = new Backend();
testStore(
  { describe, test },
  { name: "the README's store", open: () => yourStore(backend), unreachable: null, mixedUp: null },
);
