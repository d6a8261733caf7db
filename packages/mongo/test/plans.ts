import type { Document, FindOptions } from "mongodb";

/** Returns the options of a `find` command that influence its plan, besides the filter. */
export function optionsOf({ sort, limit }: Document): FindOptions {
  return { ...(sort && { sort }), ...(limit && { limit }) };
}

/** Returns the indexes of the winning plan, from mongod's stages or FerretDB's PostgreSQL nodes. */
export function indexesIn(plan: unknown, used: Set<string> = new Set()): Set<string> {
  if (typeof plan !== "object" || plan === null) return used;
  for (const [key, value] of Object.entries(plan)) {
    if (key === "rejectedPlans" || key === "IndexCosts") continue;
    // The other index on `_id` is that of the shard key.
    if (key === "indexName" || key === "Index Name") used.add(value === "_id_hashed" ? "_id_" : value);
    if (key === "stage" && value === "IDHACK") used.add("_id_");
    indexesIn(value, used);
  }
  return used;
}
