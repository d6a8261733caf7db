import preset from "@tenure/build";
import type { UserConfig } from "tsdown";

const config: UserConfig = {
  ...preset,
  entry: { index: "src/index.ts", store: "src/store/index.ts", bridge: "src/bridge/index.ts" },
};

export default config;
