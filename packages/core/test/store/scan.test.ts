import { describe, expect, test } from "vitest";
import { Fault, StoreError } from "../../src/errors.ts";
import { orError, type ScanPage, scanPages } from "../../src/store/scan.ts";
import type { SessionRecord } from "../../src/store.ts";

const record = (id: string): SessionRecord => ({
  id,
  userId: null,
  authenticatedAt: null,
  data: "",
  version: 1,
  createdAt: 0,
  touchedAt: 0,
  idle: 1,
  expiresAt: 1,
  endsAt: 1,
});

/** Scans these pages, and returns the ids that the scan yields, and the error that it throws, if any. */
async function scan(
  pages: readonly ScanPage<number>["records"][],
): Promise<{ ids: string[]; error?: unknown }> {
  const ids: string[] = [];
  const pageAt = async (place: number): Promise<ScanPage<number>> => ({
    records: pages[place]!,
    next: place + 1 < pages.length ? place + 1 : undefined,
  });
  try {
    for await (const { id } of scanPages(0, pageAt)) ids.push(id);
  } catch (error) {
    return { ids, error };
  }
  return { ids };
}

describe("scanPages", () => {
  test("yields the sessions of all pages, even after an empty one", async () => {
    expect(await scan([[record("a"), record("b")], [], [record("c")]])).toEqual({ ids: ["a", "b", "c"] });
  });

  test("yields the sessions of all pages, and then throws the first error on any of them", async () => {
    const [first, second] = [new Error("first"), new Error("second")];
    const { ids, error } = await scan([[record("a"), first], [second, record("b")], [record("c")]]);
    expect(ids).toEqual(["a", "b", "c"]);
    expect(error).toBe(first);
  });

  test("throws a Fault as a StoreError with the same message", async () => {
    const { error } = await scan([[new Fault("the row is not a session")]]);
    expect(error).toBeInstanceOf(StoreError);
    expect(error).toMatchObject({ operation: "scan", message: "scan: the row is not a session" });
  });

  test("reads a page only when the sessions of the page before it have been consumed", async () => {
    const read: number[] = [];
    const scanning = scanPages(0, async (place) => {
      read.push(place);
      return { records: [record(`${place}`)], next: place + 1 };
    });
    for await (const { id } of scanning) if (id === "2") break;
    expect(read).toEqual([0, 1, 2]);
  });

  test("throws the error of a page that cannot be read", async () => {
    const down = new Error("down");
    const scanning = scanPages(0, () => Promise.reject(down));
    await expect(scanning.next()).rejects.toBe(down);
  });
});

test("orError returns the function's result, or the error that it throws", () => {
  const fault = new Fault("not a session");
  const decode = (value: number): number => {
    if (value < 0) throw fault;
    return value;
  };
  expect([1, -1].map((value) => orError(() => decode(value)))).toEqual([1, fault]);
});
