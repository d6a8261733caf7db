/**
 * The file `application.ts`: an Express application on any store, for every project that does not test a
 * framework. It has the routes that `visit` requests.
 */
export const expressApplication = `import express, { type Express } from "express";
import session from "express-session";
import { Sessions, type SessionStore } from "@tenure/core";
import { expressSessionStore, secureCookie } from "@tenure/express-session";

export function application(backend: SessionStore): Express {
  const sessions = new Sessions({ store: backend, idleTimeout: "30m", lifetime: "12h" });
  const store = expressSessionStore(sessions);
  const app = express();
  app.use(
    session({
      store,
      secret: "a secret of a test, as long as secrets should be",
      ...secureCookie(sessions, { secure: false, name: "id" }),
      resave: false,
      saveUninitialized: false,
    }),
  );
  app.post("/login", (req, res, next) => {
    store.logIn(req, "ada").then(({ refused }) => res.status(refused ? 409 : 200).send(refused ?? "hello"), next);
  });
  app.post("/everywhere", (req, res, next) => {
    store.logOutEverywhere(req).then((ended) => res.send(String(ended)), next);
  });
  app.get("/me", (req, res) => {
    const user = store.userOf(req);
    res.status(user === null ? 401 : 200).send(user ?? "nobody");
  });
  return app;
}
`;

export const expressDependencies = [
  "@tenure/core",
  "@tenure/express-session",
  "express",
  "express-session",
  "@types/express",
  "@types/express-session",
  "@types/node",
];
