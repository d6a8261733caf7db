import type { SessionHolder } from "@tenure/core/bridge";
import type { Session, SessionData } from "express-session";
import type { Marks } from "./marks.ts";
import type { Request } from "./request.ts";
import { loadedData, storedData } from "./stored-data.ts";

/**
 * `ExpressSessionStore.rotate`.
 *
 * @param createSession the framework's own: makes the `req.session`
 */
export async function rotate<Data extends object>(
  req: Request,
  marks: Marks<Data>,
  holder: SessionHolder<Data>,
  createSession: (req: Request, data: SessionData) => Session,
): Promise<boolean> {
  if (!req.session) {
    throw new TypeError("there is no req.session to rotate: the session middleware comes first");
  }
  const { session: before } = req;
  const mark = marks.of(before, before.id) ?? (await marks.ofStored(before.id));
  const rotated = mark ? await mark.held.rotate() : null;
  if (!mark || !rotated) return false;
  if (rotated === "new") return true;
  const { held, session: stored } = rotated;
  if (!req.session) {
    // Logged out meanwhile, by the token that is dead now.
    await holder.revoke(held.token);
    return false;
  }
  req.sessionID = held.token;
  const { expiresAt } = stored;
  const made = createSession(req, loadedData({ data: storedData(req.session, held.maxAge), expiresAt }));
  marks.set(made, { held, cookie: mark.cookie });
  return true;
}
