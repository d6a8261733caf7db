import { expect, test } from "vitest";
import { charts } from "../src/charts.ts";

test("a chart shows a bar for each store, with a length proportional to its requests per second, and the server, the Node version and the date", () => {
  const text = charts([
    {
      backend: "redis",
      server: "Redis <7>",
      node: "v24.0.0",
      measuredAt: "2026-11-27T05:00:00.000Z",
      cells: [
        {
          cell: "page view, C=1",
          entries: [
            { name: "Tenure", perSecond: 4000.4 },
            { name: "another", perSecond: 1000 },
          ],
        },
      ],
    },
  ]);
  expect(text).toContain("Redis <7>, Node v24.0.0, 2026-11-27");
  expect(text).toMatch(/Tenure<\/td>.*width: 100\.0%.*<td>4,000<\/td>/u);
  expect(text).toMatch(/another<\/td>.*width: 25\.0%.*<td>1,000<\/td>/u);
});

test("without results, there is no chart", () => {
  expect(charts([])).toBe("");
});
