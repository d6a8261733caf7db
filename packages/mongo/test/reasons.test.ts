import { StoreError } from "@tenure/core";
import { expect, test } from "vitest";
import { mongoStore } from "../src/index.ts";
import { toStoreError } from "../src/failure.ts";
import { connect, errorOf } from "./clients.ts";

test.each([
  [
    "the name in a URL with mongodb+srv cannot be resolved",
    "mongodb+srv://ada:guess@tenure.invalid/",
    "querySrv",
  ],
  [
    "a file of certificates is missing",
    "mongodb://127.0.0.1/?tls=true&tlsCAFile=/missing.pem",
    "/missing.pem",
  ],
])("if %s, the error's cause says so, and holds no password", async (_when, url, reason) => {
  const store = mongoStore(connect(url).db("shop").collection("sessions"));
  const error = (await errorOf(store.read("any"))) as StoreError;
  expect(error).toBeInstanceOf(StoreError);
  expect(error.message).toBe("read: no primary could be reached: see the cause");
  expect(String(error.cause)).toContain(reason);
  expect(String(error.cause)).not.toContain("guess");
});

test.each([
  [20, "IllegalOperation", "a transaction needs a replica set or a sharded cluster"],
  [121, "DocumentValidationFailure", "the collection's validator refused the document"],
  [8000, "AtlasError", "Atlas refused: check the client's user, password and rights"],
])("if the server replies with the code %s, %s, the error says what to check", (code, codeName, text) => {
  const error = Object.assign(new Error("quoted data"), { name: "MongoServerError", code, codeName });
  expect(toStoreError("create", error)).toMatchObject({
    message: expect.stringContaining(text),
    cause: { message: codeName },
  });
});
