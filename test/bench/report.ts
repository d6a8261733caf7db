import type { Target } from "./competitor.ts";
import type { Cell, Entry } from "./run.ts";

export function report(cells: readonly Cell[], targets: readonly Target[]): string {
  const rows = cells.flatMap(({ cell, entries }) =>
    entries.map((entry, i) => [i === 0 ? cell : "", ...columns(cell, entry, i === 0, targets)]),
  );
  return table([HEAD, ...rows]);
}

const HEAD = ["load", "store", "per second", "client µs", "server µs", "Tenure is", "target"];

function columns(cell: string, entry: Entry, isTenure: boolean, targets: readonly Target[]): string[] {
  const { name, how, perSecond, clientMicros, serverMicros, tenureTimes } = entry;
  const target = targets.find((one) => one.cell === cell && name === one.peer);
  return [
    how === undefined ? name : `${name}: ${how}`,
    round(perSecond),
    clientMicros === undefined ? "" : round(clientMicros),
    serverMicros === undefined ? "" : round(serverMicros),
    isTenure ? "" : `${tenureTimes < 100 ? tenureTimes.toFixed(2) : round(tenureTimes)}×`,
    target === undefined ? "" : `≥ ${target.times}× ${tenureTimes >= target.times ? "reached" : "MISSED"}`,
  ];
}

function round(value: number): string {
  return value < 10 ? value.toFixed(2) : Math.round(value).toLocaleString("en");
}

function table(rows: readonly (readonly string[])[]): string {
  const widths = HEAD.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  const line = (row: readonly string[]): string =>
    `| ${row.map((cell, i) => (i < 2 || i > 4 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0))).join(" | ")} |`;
  const [head = [], ...body] = rows;
  return [line(head), `|${widths.map((width) => "-".repeat(width + 2)).join("|")}|`, ...body.map(line)].join(
    "\n",
  );
}
