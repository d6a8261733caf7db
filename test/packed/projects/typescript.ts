import { programOn } from "../compilers.ts";
import type { Packed } from "../pack.ts";
import { expressApplication, expressDependencies } from "./express.ts";
import type { Project } from "./project.ts";

/**
 * Checks the declarations of every package, and of the packages that they are used with, as strictly as
 * TypeScript can.
 */
export const typescript: Project = {
  title: "TypeScript, strict, with exactOptionalPropertyTypes and without skipLibCheck",
  start: { type: "module", scripts: { build: "tsc", start: "node dist/main.js" } },
  dependencies: (packed) => {
    const ours = independent(packed);
    const peers = ours.flatMap(({ manifest }) => Object.keys(manifest.peerDependencies ?? {}));
    const others = ["@fastify/cookie", "@types/koa", "@types/pg", "typescript@7"];
    return [...new Set([...ours.map(({ name }) => name), ...peers, ...expressDependencies, ...others])];
  },
  files: ({ packed }) => ({
    "tsconfig.json": JSON.stringify({
      compilerOptions: {
        target: "es2022",
        module: "nodenext",
        strict: true,
        exactOptionalPropertyTypes: true,
        skipLibCheck: false,
        types: ["node"],
        rootDir: "src",
        outDir: "dist",
      },
    }),
    "src/application.ts": expressApplication,
    "src/everything.ts": programOn(
      independent(packed).flatMap(({ entries }) => entries.map(({ specifier }) => specifier)),
    ),
    "src/main.ts": `import { memoryStore } from "@tenure/core";
import { application } from "./application.js";
application(memoryStore()).listen(Number(process.env.PORT), "127.0.0.1");
`,
  }),
  scripts: ["build"],
  application: { script: "start" },
};

/**
 * Returns the packages that do not depend on other Tenure packages. A package manager would look for such
 * dependencies on the registry.
 */
function independent(packed: readonly Packed[]): Packed[] {
  return packed.filter(
    ({ manifest }) => !Object.keys(manifest.dependencies ?? {}).some((name) => name.startsWith("@tenure/")),
  );
}
