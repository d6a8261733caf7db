import { createSign, generateKeyPairSync } from "node:crypto";
import { type Visitor, visitor } from "@tenure/cookie-client";
import { memoryStore, Sessions } from "@tenure/core";
import { expressSessionStore } from "@tenure/express-session";
import express from "express";
import { auth } from "express-openid-connect";
import { expect, test } from "vitest";
import { SECRET } from "./app.ts";
import { serve } from "./serve.ts";

interface Claims {
  iss: string;
  iat: number;
  sub?: string;
  sid?: string;
}

/** Copied from the README. */
function recipe(issuer: string, baseURL: string) {
  const claimsOf = (idToken: string): { iss: string; sub: string } =>
    JSON.parse(Buffer.from(idToken.split(".")[1]!, "base64url").toString());
  const sessions = new Sessions({
    store: memoryStore(),
    idleTimeout: "24h",
    lifetime: "7d",
    userId({ data }: { data?: { id_token?: string } }) {
      if (!data?.id_token) return null;
      const { iss, sub } = claimsOf(data.id_token);
      return `${iss}|${sub}`;
    },
  });
  const marks = new Sessions({ store: memoryStore(), idleTimeout: "7d", lifetime: "7d" });
  const settings = {
    session: { store: expressSessionStore(sessions) as never }, // its types require another kind of cookie
    backchannelLogout: {
      onLogin: false as const,
      async onLogoutToken(token: object) {
        const { iss, sub, sid, iat } = token as Claims;
        if (sid) {
          await marks.createWithToken(`${iss}|sid|${sid}`, {});
        } else if (sub) {
          // Logins after the provider sent this token stay.
          const authenticatedUpTo = Math.min(iat * 1000 + 999, await sessions.since());
          await sessions.revokeAllForUser(`${iss}|${sub}`, { authenticatedUpTo });
        }
      },
      async isLoggedOut({ oidc }: { oidc: { idTokenClaims?: object } }) {
        const { iss, sid } = oidc.idTokenClaims as Claims;
        return sid !== undefined && (await marks.get(`${iss}|sid|${sid}`)) !== null;
      },
    },
  };
  const middleware = auth({
    issuerBaseURL: issuer,
    baseURL,
    clientID: "app",
    secret: SECRET,
    authRequired: false,
    idpLogout: false,
    ...settings,
  });
  return { sessions, middleware };
}

const keys = generateKeyPairSync("rsa", { modulusLength: 2048 });

async function start() {
  const provider = express();
  const issuer = (await serve(provider)).replace("127.0.0.1", "localhost");
  provider.get("/.well-known/openid-configuration", (_req, res) =>
    res.json({
      issuer,
      jwks_uri: `${issuer}/jwks`,
      authorization_endpoint: `${issuer}/authorize`,
      token_endpoint: `${issuer}/token`,
      response_types_supported: ["id_token"],
      response_modes_supported: ["form_post"],
      id_token_signing_alg_values_supported: ["RS256"],
      subject_types_supported: ["public"],
    }),
  );
  provider.get("/jwks", (_req, res) =>
    res.json({ keys: [{ ...keys.publicKey.export({ format: "jwk" }), kid: "k", alg: "RS256", use: "sig" }] }),
  );
  const app = express();
  const origin = await serve(app);
  const { sessions, middleware } = recipe(issuer, origin);
  app.use(middleware);
  app.get("/me", (req, res) => void res.send(req.oidc.isAuthenticated() ? req.oidc.user!["sub"] : "nobody"));
  const form = { "content-type": "application/x-www-form-urlencoded" };
  const jwt = (claims: object): string => {
    const now = Math.floor(Date.now() / 1000);
    const head = { alg: "RS256", kid: "k" };
    const body = { iss: issuer, aud: "app", iat: now, exp: now + 300, ...claims };
    const text = [head, body]
      .map((part) => Buffer.from(JSON.stringify(part)).toString("base64url"))
      .join(".");
    return `${text}.${createSign("RSA-SHA256").update(text).sign(keys.privateKey, "base64url")}`;
  };
  const post = async (browser: Visitor, path: string, fields: Record<string, string>): Promise<number> => {
    const cookie = [...browser.cookies].map(([name, value]) => `${name}=${value}`).join("; ");
    const response = await fetch(origin + path, {
      method: "POST",
      redirect: "manual",
      headers: { ...form, cookie },
      body: new URLSearchParams(fields).toString(),
    });
    for (const line of response.headers.getSetCookie()) {
      const [, name, value] = /^([^=]+)=([^;]*)/.exec(line)!;
      if (value) browser.cookies.set(name!, value);
      else browser.cookies.delete(name!);
    }
    return response.status;
  };
  return {
    sessions,
    logIn: async (sub: string, sid: string, browser = visitor(origin)): Promise<Visitor> => {
      const to = new URL((await browser.get("/login")).headers.get("location")!);
      const { nonce, state } = Object.fromEntries(to.searchParams) as { nonce: string; state: string };
      expect(await post(browser, "/callback", { id_token: jwt({ sub, sid, nonce }), state })).toBe(302);
      return browser;
    },
    providerLogsOut: (claims: object): Promise<number> => {
      const events = { "http://schemas.openid.net/event/backchannel-logout": {} };
      const logout = jwt({ jti: String(Math.random()), events, ...claims });
      return post(visitor(origin), "/backchannel-logout", { logout_token: logout });
    },
    me: async (browser: Visitor): Promise<string> => (await browser.get("/me")).text,
  };
}

test("express-openid-connect: a back-channel logout that names a session ends only that session", async () => {
  const { logIn, providerLogsOut, me } = await start();
  const [first, second] = [await logIn("ada", "s1"), await logIn("ada", "s2")];
  expect(await me(first)).toBe("ada");
  expect(await providerLogsOut({ sub: "ada", sid: "s1" })).toBe(204);
  expect([await me(first), await me(second)]).toEqual(["nobody", "ada"]);
  await logIn("ada", "s3", first);
  expect(await me(first)).toBe("ada");
});

test("express-openid-connect: a back-channel logout that names a user ends all sessions of that user and no others", async () => {
  const { logIn, providerLogsOut, me, sessions } = await start();
  const [first, second, bob] = [await logIn("ada", "s1"), await logIn("ada", "s2"), await logIn("bob", "s3")];
  expect(await providerLogsOut({ sub: "ada" })).toBe(204);
  expect([await me(first), await me(second), await me(bob)]).toEqual(["nobody", "nobody", "bob"]);
  await logIn("ada", "s4", first);
  expect(await me(first)).toBe("ada");
  expect(await Array.fromAsync(sessions.all())).toHaveLength(2);
});

test("express-openid-connect: a logout token that arrives late does not end a later login", async () => {
  const { logIn, providerLogsOut, me } = await start();
  const ada = await logIn("ada", "s1");
  expect(await providerLogsOut({ sub: "ada", iat: Math.floor(Date.now() / 1000) - 60 })).toBe(204);
  expect(await me(ada)).toBe("ada");
});
