import { parseArgs } from "node:util";
import { type Framework, startDemo } from "./demo.ts";
import { openStore } from "./stores/open-store.ts";

const usage = `Usage: npx -y pnpm@12 demo [--store STORE] [--framework NAME] [--port PORT]

  --store  memory (default), sqlite (a file, in which sessions outlive this process), or the address of a server:
           redis://127.0.0.1:6379, postgres://user:password@127.0.0.1/database, mongodb://127.0.0.1/database.
           postgres without an address is a PostgreSQL that comes with the demo
  --framework
           express (default), fastify or koa
  --port   default 3000, or a free port if that is taken`;

try {
  const { help, ...options } = readArguments();
  if (help) console.log(usage);
  else await run(options);
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}

interface Arguments {
  readonly store: string;
  readonly framework: Framework;
  readonly port?: number;
}

async function run({ store, ...options }: Arguments): Promise<void> {
  const opened = await openStore(store);
  const demo = await startDemo({ ...opened, ...options }).catch(async (error: unknown) => {
    await opened.close();
    throw error;
  });
  console.log(`Tenure demo: ${demo.url}`);
  console.log(`Sessions are kept in ${opened.place}. Ctrl+C ends the demo.`);

  const stop = async (): Promise<void> => {
    process.removeListener("SIGINT", stop).removeListener("SIGTERM", stop);
    await demo.close();
    await opened.close();
  };
  process.once("SIGINT", stop).once("SIGTERM", stop);
}

function readArguments(): Arguments & { readonly help: boolean } {
  // `pnpm demo -- --store …` passes the argument `--` as well.
  const args = process.argv.slice(2).filter((argument) => argument !== "--");
  const { values } = parseArgs({
    args,
    options: {
      store: { type: "string", default: "memory" },
      framework: { type: "string", default: "express" },
      port: { type: "string" },
      help: { type: "boolean", short: "h", default: false },
    },
  });
  const { store, framework, port, help } = values;
  if (!isFramework(framework)) throw new TypeError(`--framework must be express, fastify or koa\n\n${usage}`);
  if (port === undefined) return { store, framework, help };
  if (!/^\d+$/u.test(port) || Number(port) > 65_535) {
    throw new TypeError(`--port must be a number from 0 to 65535\n\n${usage}`);
  }
  return { store, framework, port: Number(port), help };
}

function isFramework(name: string): name is Framework {
  return name === "express" || name === "fastify" || name === "koa";
}
