import { pathToFileURL } from "node:url";

/**
 * Where the demo keeps what should outlive it, a folder that Git and npm leave alone; removing it harms nothing.
 * `TENURE_DEMO_FOLDER` names another one.
 */
export function cacheFolder(): URL {
  const elsewhere = process.env["TENURE_DEMO_FOLDER"];
  if (elsewhere !== undefined) return pathToFileURL(`${elsewhere}/`);
  return new URL("../node_modules/.cache/tenure-demo/", import.meta.url);
}
