import { pathToFileURL } from "node:url";

/**
 * Returns the folder for files that outlive the demo. Git and npm ignore it, and it is safe to remove.
 * `TENURE_DEMO_FOLDER` names another folder.
 */
export function cacheFolder(): URL {
  const elsewhere = process.env["TENURE_DEMO_FOLDER"];
  if (elsewhere !== undefined) return pathToFileURL(`${elsewhere}/`);
  return new URL("../node_modules/.cache/tenure-demo/", import.meta.url);
}
