import { type ListedSession, memoryStore, type Session, Sessions } from "@tenure/core";
import { expectTypeOf } from "vitest";

/** The data of an application's sessions. */
interface Data {
  cart?: string[];
  theme?: "dark" | "light";
}

const sessions = new Sessions<Data>({ store: memoryStore(), idleTimeout: "30m" });

export async function dataKeepTheirTypeThroughEveryCall(token: string): Promise<void> {
  const session = await sessions.get(token);
  expectTypeOf(session).toEqualTypeOf<Session<Data> | null>();
  if (!session) return;
  expectTypeOf(session.data).toEqualTypeOf<Data>();
  expectTypeOf(await sessions.save(session, { cart: ["tea"] })).toEqualTypeOf<Session<Data> | null>();
  await sessions.update(session, (data) => {
    expectTypeOf(data).toEqualTypeOf<Data>();
    data.cart = [...(data.cart ?? []), "tea"];
  });
  expectTypeOf(await sessions.listForUser("ada")).toEqualTypeOf<ListedSession<Data>[]>();
  for await (const one of sessions.all()) expectTypeOf(one.data).toEqualTypeOf<Data | null>();
}

export async function aLoginHasATokenOnlyIfItIsNotRefused(): Promise<void> {
  const login = await sessions.logIn(null, "ada");
  // @ts-expect-error: a refused login has no token.
  const tooEarly: string = login.token;
  void tooEarly;
  if (login.refused) {
    expectTypeOf(login.refused).toEqualTypeOf<"logged-out-meanwhile" | "too-many-sessions">();
    return;
  }
  expectTypeOf(login.token).toEqualTypeOf<string>();
  expectTypeOf(login.session.data).toEqualTypeOf<Data>();
}

export async function anAnonymousSessionCannotBeRefused(): Promise<void> {
  expectTypeOf((await sessions.create({})).token).toEqualTypeOf<string>();
  expectTypeOf((await sessions.create({}, { userId: "ada" })).refused).not.toEqualTypeOf<undefined>();
}

export async function aRotationHasATokenOnlyIfTheSessionIsLive(token: string): Promise<void> {
  const rotated = await sessions.rotate(token);
  // @ts-expect-error: the session may be dead, or superseded.
  void rotated.token;
  if (rotated === null || rotated === "superseded") return;
  expectTypeOf(rotated.token).toEqualTypeOf<string>();
}

export async function misuseDoesNotCompile(session: Session<Data>): Promise<void> {
  // @ts-expect-error: the data have no such key.
  await sessions.save(session, { basket: [] });
  // @ts-expect-error: a theme is dark or light.
  await sessions.create({ theme: "blue" });
  // @ts-expect-error: the facts of a session are read-only.
  session.id = "another";
  // @ts-expect-error: a change of data is synchronous.
  await sessions.update(session, async (data) => ({ ...data }));
  // @ts-expect-error: a user is a string, a whole number or a bigint.
  await sessions.logIn(null, { id: "ada" });
  // @ts-expect-error: null is not a user.
  await sessions.revokeAllForUser(null);
  // @ts-expect-error: touch takes the session, not its id.
  await sessions.touch(session.id);
  // @ts-expect-error: the session has data of another type.
  await new Sessions<{ visits: number }>({ store: memoryStore() }).save(session, { visits: 1 });
}

export function invalidOptionsDoNotCompile(): void {
  const store = memoryStore();
  // @ts-expect-error: the option is called idleTimeout.
  void new Sessions({ store, idle: "30m" });
  // @ts-expect-error: a duration has a unit.
  void new Sessions({ store, idleTimeout: "30" });
  // @ts-expect-error: the unit for minutes is m.
  void new Sessions({ store, lifetime: "30min" });
  // @ts-expect-error: a store is required.
  void new Sessions({ idleTimeout: "30m" });
  // @ts-expect-error: onCap is not one of the two known values.
  void new Sessions({ store, maxPerUser: 3, onCap: "ignore" });
  // The function takes the application's own data.
  void new Sessions<{ account?: { id: number } }>({ store, userId: (data) => data.account?.id });
}
