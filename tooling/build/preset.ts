import { defineConfig, type Rolldown, type UserConfig } from "tsdown";

/**
 * Builds every published package as CommonJS from `src/index.ts`, with an ES module that re-exports it for
 * `import`, and checks it as npm would serve it. There is one implementation, so a process that uses both
 * `require` and `import` has one copy of each class.
 */
const preset: UserConfig = defineConfig({
  entry: "src/index.ts",
  format: "cjs",
  platform: "node",
  target: "node22",
  dts: true,
  publint: { strict: true },
  tsconfig: "tsconfig.json",
  plugins: [esModules()],
});

/** Writes `index.js` and `index.d.ts` beside each entry's `index.cjs` and `index.d.cts`. */
function esModules(): Rolldown.Plugin {
  return {
    name: "es-modules",
    generateBundle(_options, bundle) {
      for (const file of Object.values(bundle)) {
        if (file.type !== "chunk" || !file.isEntry) continue;
        const { name, fileName, exports } = file;
        // Names, not `*`: Node adds the name "module.exports" to the exports of a CommonJS module.
        const code = `export { ${exports.join(", ")} } from "./${fileName}";\n`;
        this.emitFile({ type: "asset", fileName: `${name}.js`, source: code });
        this.emitFile({
          type: "asset",
          fileName: `${name}.d.ts`,
          source: `export * from "./${fileName}";\n`,
        });
      }
    },
  };
}

export default preset;
