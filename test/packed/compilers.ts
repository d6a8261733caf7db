import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

export interface Setup {
  readonly type: "commonjs" | "module";
  readonly compilerOptions: Readonly<Record<string, unknown>>;
}

interface CommonSetup extends Setup {
  readonly title: string;
  /** The versions of TypeScript that support these settings. */
  readonly compilers: readonly (5 | 7)[];
}

export const setups: readonly CommonSetup[] = [
  {
    title: "module commonjs",
    type: "commonjs",
    compilers: [5],
    compilerOptions: { module: "commonjs" },
  },
  {
    title: "module commonjs and esModuleInterop",
    type: "commonjs",
    compilers: [5],
    compilerOptions: { module: "commonjs", esModuleInterop: true },
  },
  {
    title: "NestJS 10's settings",
    type: "commonjs",
    compilers: [5],
    compilerOptions: {
      module: "commonjs",
      target: "es2021",
      allowSyntheticDefaultImports: true,
      emitDecoratorMetadata: true,
      experimentalDecorators: true,
    },
  },
  ...(["commonjs", "module"] as const).flatMap((type) =>
    ["node16", "nodenext"].map((module): CommonSetup => ({
      title: `module ${module} in a package of type ${type}`,
      type,
      compilers: [5, 7],
      compilerOptions: { module },
    })),
  ),
  {
    title: "moduleResolution bundler",
    type: "module",
    compilers: [5, 7],
    compilerOptions: { module: "preserve", moduleResolution: "bundler", exactOptionalPropertyTypes: true },
  },
];

export function writeProject(folder: string, { type, compilerOptions }: Setup, program: string): void {
  mkdirSync(folder, { recursive: true });
  const common = { target: "es2022", strict: true, types: ["node"], noEmit: true };
  const settings = { compilerOptions: { ...common, ...compilerOptions }, files: ["application.ts"] };
  writeFileSync(join(folder, "package.json"), JSON.stringify({ private: true, type }));
  writeFileSync(join(folder, "tsconfig.json"), JSON.stringify(settings));
  writeFileSync(join(folder, "application.ts"), program);
}

/**
 * Returns a program that uses every package. It uses named imports, because the meaning of a default import
 * of a CommonJS module depends on the project's settings.
 */
export function programOn(specifiers: readonly string[]): string {
  const imports = specifiers.map((specifier, index) => `import * as entry${index} from "${specifier}";`);
  return `${imports.join("\n")}
import { memoryStore, type Session, Sessions, type SessionStore } from "@tenure/core";
import { expressSessionStore } from "@tenure/express-session";
import { fastifySessionStore } from "@tenure/fastify-session";
import { koaSessionStore } from "@tenure/koa-session";
import { mongoStore } from "@tenure/mongo";
import { postgresStore } from "@tenure/postgres";
import { redisStore } from "@tenure/redis";
import { sqliteStore } from "@tenure/sqlite";
import type { SessionOptions } from "express-session";
import { Redis } from "ioredis";
import type { Collection } from "mongodb";
import { DatabaseSync } from "node:sqlite";
import { Pool } from "pg";

interface Data {
  userId?: string;
  cart: string[];
}

export const everything: object[] = [${imports.map((_, index) => `entry${index}`).join(", ")}];
export const stores: ((collection: Collection) => SessionStore)[] = [
  () => memoryStore(),
  () => redisStore(new Redis()),
  () => postgresStore(new Pool()),
  (collection) => mongoStore(collection),
  () => sqliteStore(new DatabaseSync("sessions.db")),
];
export const sessions = new Sessions<Data>({ store: memoryStore(), idleTimeout: "30m", userId: (data) => data.userId });
export const found: Promise<Session<Data> | null> = sessions.get("token");
export const settings: SessionOptions = { store: expressSessionStore(sessions), secret: "x" };
export const others = [fastifySessionStore(sessions), koaSessionStore(sessions)];
// @ts-expect-error -- a duration is a number of milliseconds or a string such as "30m"
export const wrong = () => sessions.create({ cart: [] }, { idle: true });
`;
}
