import { describe, expect, test } from "vitest";
import { addressOf, secretsIn } from "../src/address.ts";

describe("the URL of a store", () => {
  test("can name a Redis server", () => {
    expect(addressOf("rediss://ada:p%40ss@[::1]:7000/2")).toMatchObject({
      topology: "standalone",
      tls: true,
      hosts: [{ host: "::1", port: 7000 }],
      username: "ada",
      password: "p@ss",
      db: 2,
      label: "rediss://ada:***@[::1]:7000/2",
    });
  });

  test("can name Sentinels and the primary that they watch", () => {
    const url = "redis+sentinel://:pass@10.0.0.1,10.0.0.2:26380/mymaster/1?sentinelPassword=other";
    expect(addressOf(url)).toMatchObject({
      topology: "sentinel",
      hosts: [
        { host: "10.0.0.1", port: 26_379 },
        { host: "10.0.0.2", port: 26_380 },
      ],
      primary: "mymaster",
      db: 1,
      password: "pass",
      sentinelPassword: "other",
      label: "redis+sentinel://:***@10.0.0.1,10.0.0.2:26380/mymaster/1",
    });
  });

  test("can name some nodes of a Cluster", () => {
    expect(addressOf("redis+cluster://10.0.0.1:7000,10.0.0.2:7001")).toMatchObject({
      topology: "cluster",
      hosts: [
        { host: "10.0.0.1", port: 7000 },
        { host: "10.0.0.2", port: 7001 },
      ],
    });
  });

  test.each([
    ["sqlite:///var/app/sessions.db", "/var/app/sessions.db"],
    ["sqlite:sessions", "sessions"],
    ["./data/sessions.sqlite3", "./data/sessions.sqlite3"],
    ["C:\\data\\sessions.db", "C:\\data\\sessions.db"],
  ])("can name a SQLite file: %s", (url, path) => {
    expect(addressOf(url)).toEqual({ backend: "sqlite", path, label: path });
  });

  test("can name a PostgreSQL or a MongoDB server", () => {
    expect(addressOf("postgresql://ada:pass@db/shop?sslmode=require")).toMatchObject({
      backend: "postgres",
      label: "postgresql://ada:***@db/shop",
    });
    expect(addressOf("mongodb+srv://ada:pass@cluster.example/shop?authSource=admin")).toMatchObject({
      backend: "mongo",
      database: "shop",
      label: "mongodb+srv://ada:***@cluster.example/shop",
    });
  });
});

test("secretsIn returns a URL's password, encoded and decoded, and its parameters' values if one is a secret", () => {
  expect(secretsIn("postgres://ada:p%40ss@db/shop").toSorted()).toEqual(
    ["p%40ss", "p@ss", "postgres://ada:p%40ss@db/shop", "postgres://ada:p@ss@db/shop"].toSorted(),
  );
  expect(secretsIn("redis+sentinel://a/mymaster?sentinelPassword=s3cret")).toContain("s3cret");
  expect(secretsIn("redis://127.0.0.1:6379/0")).toEqual([]);
});
