import type { Created, Sessions } from "@tenure/core";

/** Rotates a live session, and returns it with its new token. */
export async function rotateLive(
  sessions: Sessions,
  token: string,
): Promise<Created<Record<string, unknown>>> {
  const rotated = await sessions.rotate(token);
  if (rotated === null || rotated === "superseded") throw new Error(`rotate returned ${rotated}`);
  return rotated;
}
