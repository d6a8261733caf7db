import type { Address } from "../address.ts";
import type { StoreOptions } from "../backend.ts";
import { UsageError } from "../usage-error.ts";
import type { Source, SourceOptions } from "./source.ts";

export const FROM = ["connect-redis", "connect-pg-simple", "connect-mongo"] as const;
export type From = (typeof FROM)[number];

/**
 * @param to Tenure's store, which must be in another place
 * @throws UsageError if the package does not keep its sessions on such a server
 */
export async function openSource(
  from: From,
  address: Address,
  options: SourceOptions,
  to: { readonly address: Address; readonly options: StoreOptions },
): Promise<Source> {
  if (from === "connect-redis" && address.backend === "redis") {
    const { connectRedisSource } = await import("./connect-redis.ts");
    return connectRedisSource(address, options, to.options.prefix ?? "tenure:");
  }
  if (from === "connect-pg-simple" && address.backend === "postgres") {
    const { connectPgSimpleSource } = await import("./connect-pg-simple.ts");
    return connectPgSimpleSource(address, options);
  }
  if (from === "connect-mongo" && address.backend === "mongo") {
    const collection = options.collection ?? "sessions";
    const isSame = to.address.backend === "mongo" && to.address.label === address.label;
    if (isSame && collection === to.options.collection) {
      throw new UsageError(
        "--collection must differ from connect-mongo's collection: use tenure_sessions, for example",
      );
    }
    const { connectMongoSource } = await import("./connect-mongo.ts");
    return connectMongoSource(address, collection);
  }
  throw new UsageError(`${from} does not keep sessions on ${address.label}: name its server with --source`);
}
