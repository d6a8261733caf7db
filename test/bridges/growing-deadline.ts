/** The machine missed a deadline, so the result of the test means nothing. */
export class TooSlow extends Error {}

/**
 * Runs `body` with a deadline in milliseconds. As long as the machine is too slow for the deadline, repeats
 * `body` with a deadline three times as long.
 */
export async function withGrowingDeadline<Result>(
  deadline: number,
  body: (deadline: number) => Promise<Result>,
): Promise<Result> {
  try {
    return await body(deadline);
  } catch (error) {
    if (!(error instanceof TooSlow) || deadline > 30_000) throw error;
    return withGrowingDeadline(deadline * 3, body);
  }
}
