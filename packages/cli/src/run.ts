import { parseDuration } from "@tenure/core";
import { Command, CommanderError, Option } from "commander";
import { type Address, addressOf, secretsIn } from "./address.ts";
import { openBackend, type StoreOptions } from "./backend.ts";
import type { Context, Outcome } from "./command.ts";
import { count } from "./commands/count.ts";
import { doctor } from "./commands/doctor.ts";
import { importFrom } from "./commands/import.ts";
import { list } from "./commands/list.ts";
import { revoke, revokeAll, revokeUser } from "./commands/revoke.ts";
import { FROM, type From, openSource } from "./sources/open.ts";
import { type Streams, Terminal } from "./terminal.ts";
import { UsageError } from "./usage-error.ts";
import manifest from "../package.json" with { type: "json" };

/** 0: done. 1: a problem was found, or something failed. 2: the command line is wrong, or lacks `--yes`. */
export type ExitCode = Outcome | 2;

/**
 * Runs a command line and resolves to its exit code. Never rejects.
 *
 * @param args the arguments after `tenure`
 */
export async function run(args: readonly string[], streams: Streams = process): Promise<ExitCode> {
  const secrets: string[] = [];
  let outcome: Outcome = 0;
  const program = programOf(streams, secrets, (result) => {
    outcome = result;
  });
  try {
    await program.parseAsync(idsLast(args), { from: "user" });
    return outcome;
  } catch (error) {
    // Commander has printed its own errors.
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    if (error instanceof UsageError) {
      streams.stderr.write(`tenure: ${error.message}\n`);
      return 2;
    }
    // The error or its cause may be the driver's or the server's, and quote the URL.
    streams.stderr.write(`tenure: ${without(secrets, reasonOf(error))}\n`);
    return error instanceof TypeError ? 2 : 1;
  }
}

/** The options of all commands. Each command has those that it declares. */
interface Flags extends StoreOptions {
  readonly store?: string;
  readonly json?: boolean;
  readonly yes?: boolean;
  readonly data?: boolean;
  readonly from?: From;
  readonly source?: string;
  readonly sourcePrefix?: string;
  readonly sourceSchema?: string;
  readonly sourceTable?: string;
  readonly sourceCollection?: string;
  readonly userKey?: string;
  readonly idle?: number;
  readonly lifetime?: number;
  readonly minTokenBits?: number;
  readonly dryRun?: boolean;
}

function programOf(streams: Streams, secrets: string[], end: (outcome: Outcome) => void): Command {
  const program = new Command("tenure")
    .description("Checks and operates a store of Tenure's sessions.")
    .version(manifest.version)
    .exitOverride()
    .configureOutput({
      writeOut: (text) => void streams.stdout.write(text),
      writeErr: (text) => void streams.stderr.write(text),
      outputError: (text, write) => write(withoutSecrets(text)),
    })
    .addHelpText("after", EPILOGUE);

  command("doctor", "check the server and the store, and say what to change", doctor);
  command(
    "migrate",
    "create the table or the indexes, or bring them up to date",
    async ({ terminal, backend }) => {
      const text = await backend.migrate();
      terminal.result({ store: backend.label, message: text }, text);
      return 0;
    },
  );
  command("list <user>", "list the live sessions of a user", (context, flags, user) =>
    list(context, user, { data: flags.data === true }),
  ).option("--data", "also show the sessions' data");
  command("revoke <id>", "end one session", (context, _flags, id) => revoke(context, id));
  command("revoke-user <user>", "log a user out everywhere", (context, _flags, user) =>
    revokeUser(context, user),
  );
  command("revoke-all", "end every session of everybody", revokeAll);
  command(
    "sweep",
    "delete expired rows (PostgreSQL only; the other stores do it themselves)",
    async ({ terminal, backend }) => {
      const { swept, text } = await terminal.progress("sweeping", null, () => backend.sweep());
      terminal.result({ swept }, text);
      return 0;
    },
  );
  command("count", "count the live sessions; reads them all", count);
  command("import", "take over the sessions of another store, while the application is stopped", runImport)
    .addOption(
      new Option("--from <package>", "the package that wrote them").choices(FROM).makeOptionMandatory(),
    )
    .option("--source <url>", "its server; default $TENURE_SOURCE, else the store's")
    .option("--source-prefix <prefix>", "connect-redis's prefix")
    .option("--source-schema <name>", "connect-pg-simple's schemaName")
    .option("--source-table <name>", "connect-pg-simple's tableName")
    .option("--source-collection <name>", "connect-mongo's collectionName")
    .option(
      "--user-key <path>",
      'the path of the user id in the data, such as "account.id"; default userId, or passport.user',
    )
    .option("--idle <duration>", "the idle timeout; default each session's maxAge", duration("--idle"))
    .option(
      "--lifetime <duration>",
      "the lifetime; default each session's remaining time",
      duration("--lifetime"),
    )
    .option("--min-token-bits <bits>", "the minTokenBits of the application's Sessions", bits)
    .option("--dry-run", "only count, and store nothing");
  return program;

  function command(
    usage: string,
    description: string,
    action: (context: Context, flags: Flags, argument: string) => Promise<Outcome>,
  ): Command {
    const made = program
      .command(usage)
      .description(description)
      .option("--store <url>", "the store's server; default $TENURE_STORE")
      .option("--prefix <prefix>", 'Redis: the prefix of the keys, default "tenure:"')
      .option("--schema <name>", "PostgreSQL: the schema, default from search_path")
      .option("--table <name>", 'PostgreSQL: the table, default "tenure_sessions"')
      .option("--collection <name>", "MongoDB: the collection")
      .option(
        "--tombstone-minimum <duration>",
        "the tombstoneMinimum of the application's store",
        duration("--tombstone-minimum"),
      )
      .option("--json", "print JSON")
      .option("--yes", "do not ask for confirmation");
    return made.action(async (...parameters: unknown[]) => {
      const [argument] = parameters;
      const flags = made.opts<Flags>();
      await using backend = await openBackend(storeAddress(flags), flags);
      const terminal = new Terminal(streams, { json: flags.json === true, yes: flags.yes === true });
      end(await action({ terminal, backend }, flags, typeof argument === "string" ? argument : ""));
    });
  }

  async function runImport(context: Context, flags: Flags): Promise<Outcome> {
    // Commander has rejected any other value.
    const from = flags.from as From;
    const store = storeAddress(flags);
    const given = flags.source ?? streams.env["TENURE_SOURCE"];
    if (given !== undefined) secrets.push(...secretsIn(given));
    const {
      sourcePrefix: prefix,
      sourceSchema: schema,
      sourceTable: table,
      sourceCollection: collection,
    } = flags;
    await using source = await openSource(
      from,
      given === undefined ? store : addressOf(given),
      { prefix, schema, table, collection },
      { address: store, options: flags },
    );
    return await importFrom(context, source, { ...flags, dryRun: flags.dryRun === true });
  }

  function storeAddress(flags: Flags): Address {
    const url = flags.store ?? streams.env["TENURE_STORE"];
    if (url === undefined || url === "") {
      throw new UsageError(
        "Give the URL of the store: --store redis://host:6379, or the environment variable TENURE_STORE",
      );
    }
    secrets.push(...secretsIn(url));
    return addressOf(url);
  }
}

function duration(name: string): (text: string) => number {
  return (text) => {
    try {
      return parseDuration(name, text as "30m");
    } catch {
      throw new UsageError(
        `${name} must be a number with a unit, such as 90s, 30m, 12h or 30d, up to 100 years`,
      );
    }
  };
}

function bits(text: string): number {
  if (/^[1-9]\d*$/.test(text)) return Number(text);
  throw new UsageError("--min-token-bits must be a whole number of at least 1");
}

/**
 * Moves ids after `--`. One id in 64 begins with a dash and would be parsed as an option. So would a token,
 * and the error would quote it.
 */
function idsLast(args: readonly string[]): string[] {
  if (args[0] !== "revoke" || args.includes("--")) return [...args];
  const ids = args.filter(isId);
  return ids.length === 0 ? [...args] : [...args.filter((text) => !isId(text)), "--", ...ids];
}

function isId(text: string): boolean {
  return /^-(?:[\w-]{21}|[\w-]{42})(?:\..*)?$/.test(text);
}

/** Returns an error's message and its cause's. A driver's AggregateError may have an empty message. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const first: unknown = error instanceof AggregateError ? error.errors[0] : undefined;
  const own = error.message !== "" ? error.message : first === undefined ? error.name : reasonOf(first);
  const cause = error.cause instanceof Error ? reasonOf(error.cause) : "";
  return cause === "" || own.includes(cause) ? own : `${own} (${cause})`;
}

/** Masks what Commander may quote: a URL's user and password, and anything that looks like a token. */
function withoutSecrets(text: string): string {
  return text.replaceAll(/:\/\/[^\s']*@/g, "://***@").replaceAll(/[\w-]{22,43}\.[\w-]{43}/g, "***");
}

function without(secrets: readonly string[], text: string): string {
  return secrets.reduce((rest, secret) => rest.replaceAll(secret, "***"), text);
}

const EPILOGUE = `
Stores:
  redis://user:password@host:6379/0                    rediss:// with TLS
  redis+sentinel://user:password@host,host/mymaster/0  rediss+sentinel:// with TLS
  redis+cluster://user:password@host,host              rediss+cluster:// with TLS
  postgres://user:password@host/database
  mongodb://user:password@host/database
  sqlite:///path/of/sessions.db                        or the path alone

Exit codes:
  0  done
  1  doctor found a problem, an import left live sessions behind, you said no, or something failed
  2  the command line is wrong, or --yes is missing and there is no terminal to ask on`;
