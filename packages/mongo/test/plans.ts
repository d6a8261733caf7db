import type { Document, FindOptions } from "mongodb";

/** What of a `find` command decides how it is carried out, besides its filter. */
export function optionsOf({ sort, limit }: Document): FindOptions {
  return { ...(sort && { sort }), ...(limit && { limit }) };
}

/** The indexes of the plan that is carried out: mongod's stages, or FerretDB's nodes of PostgreSQL. */
export function indexesIn(plan: unknown, used: Set<string> = new Set()): Set<string> {
  if (typeof plan !== "object" || plan === null) return used;
  for (const [key, value] of Object.entries(plan)) {
    if (key === "rejectedPlans" || key === "IndexCosts") continue;
    // The other index of `_id` is that of the shard key.
    if (key === "indexName" || key === "Index Name") used.add(value === "_id_hashed" ? "_id_" : value);
    if (key === "stage" && value === "IDHACK") used.add("_id_");
    indexesIn(value, used);
  }
  return used;
}
