import preset from "@tenure/build";
import { defineConfig, type UserConfig } from "tsdown";

const config: UserConfig = defineConfig({ ...preset, entry: ["src/index.ts", "src/bin.ts"] });

export default config;
