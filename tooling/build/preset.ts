import { defineConfig, type UserConfig } from "tsdown";

/** How every published package is built: ESM and declarations from `src/index.ts`, checked as npm would serve it. */
const preset: UserConfig = defineConfig({
  entry: "src/index.ts",
  format: "esm",
  platform: "node",
  target: "node22",
  dts: true,
  fixedExtension: false,
  publint: true,
  tsconfig: "tsconfig.json",
});

export default preset;
