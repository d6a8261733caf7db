import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { asvs } from "./asvs.ts";
import { nist } from "./nist.ts";
import { pageOf } from "./page.ts";
import { evidenceIn } from "./tests.ts";

const root = join(import.meta.dirname, "../..");
const evidence = evidenceIn(root);
for (const standard of [asvs, nist]) writeFileSync(join(root, standard.page), pageOf(standard, evidence));
