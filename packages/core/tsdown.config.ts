import preset from "@tenure/build";
import type { UserConfig } from "tsdown";

/** `bridge` is what session bridges share: `@tenure/core/bridge`. */
const config: UserConfig = { ...preset, entry: { index: "src/index.ts", bridge: "src/bridge/index.ts" } };

export default config;
