import { join } from "node:path";
import { defineConfig, type ViteUserConfig } from "vitest/config";

const config: ViteUserConfig = defineConfig({
  resolve: { conditions: ["@tenure/source"] },
  ssr: { resolve: { conditions: ["@tenure/source"] } },
  test: {
    include: ["**/program.ts"],
    globalSetup: [join(import.meta.dirname, "../../tooling/servers/src/setup.ts")],
    provide: { backends: ["redis"] },
    setupFiles: [join(import.meta.dirname, "usual-ports.ts")],
    testTimeout: 120_000,
    hookTimeout: 120_000,
  },
});

export default config;
