import type { SessionRecord } from "@tenure/core";
import { StandbyError } from "./failure.ts";
import type { Rows } from "./driver.ts";
import { decodeText } from "./text.ts";

/**
 * What a reading statement found, row by row. `"busy"`: the row looks expired, but some transaction holds it, and may be
 * about to commit a use of the session that counts from before.
 */
export interface Found {
  readonly id: string;
  readonly life: "live" | "dead" | "busy";
  readonly record: SessionRecord;
}

/** @throws StandbyError */
export function decodeFound(rows: Rows): Found[] {
  if (rows[0]?.[0] === "true") throw new StandbyError();
  // One row always comes, to say what the server is; where nothing was found, that is all.
  return rows.filter((row) => row[1] !== null).map(decodeRow);
}

function decodeRow(row: Rows[number]): Found {
  const [, id, life, userId, data, version, createdAt, touchedAt, idle, expiresAt, endsAt] =
    row as string[] & {
      3: string | null;
    };
  return {
    id: id!,
    life: life as Found["life"],
    record: {
      id: decodeText(id!),
      userId: userId === null ? null : decodeText(userId),
      data: decodeText(data!),
      version: Number(version),
      createdAt: Number(createdAt),
      touchedAt: Number(touchedAt),
      idle: Number(idle),
      expiresAt: Number(expiresAt),
      endsAt: Number(endsAt),
    },
  };
}
