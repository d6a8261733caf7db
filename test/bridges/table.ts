export type Outcome = "passed" | "FAILED" | "not run";

/** The outcomes of the scenarios: a row for each scenario, and a column for each framework on each store. */
export interface Table {
  note(row: string, column: string, outcome: Outcome): void;
  toString(): string;
}

export function table(rows: readonly string[], columns: readonly string[]): Table {
  const outcomes = new Map<string, Outcome>();
  const key = (row: string, column: string): string => `${row}\n${column}`;
  const mark = { passed: "✓", FAILED: "✗", "not run": "–" } as const;
  return {
    note: (row, column, outcome) => void outcomes.set(key(row, column), outcome),
    toString() {
      const legend = columns.map((column, index) => `${String(index + 1).padStart(2)}  ${column}`);
      const head = columns.map((_column, index) => String(index + 1).padStart(3)).join("");
      const lines = rows.map((row) => {
        const marks = columns.map((column) => mark[outcomes.get(key(row, column)) ?? "not run"].padStart(3));
        return `${marks.join("")}  ${row}`;
      });
      return [...legend, "", head, ...lines].join("\n");
    },
  };
}
