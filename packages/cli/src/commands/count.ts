import { type Context, type Outcome, sessionsOf } from "../command.ts";

/** If the scan fails, such as at its end for a damaged record, prints what was counted before it rejects. */
export async function count({ terminal, backend }: Context): Promise<Outcome> {
  const counts = { live: 0, loggedIn: 0, anonymous: 0, unreadable: 0 };
  const print = (live: string): void => {
    const { loggedIn, anonymous, unreadable } = counts;
    const note = unreadable === 0 ? "" : `\n${unreadable} are encoded or protected by the application.`;
    terminal.result(counts, `${live} live: ${loggedIn} of users, ${anonymous} anonymous.${note}`);
  };
  try {
    await terminal.progress("counting", await backend.estimate(), async (progress) => {
      for await (const { userId, data } of sessionsOf(backend).all()) {
        counts.live += 1;
        if (userId === null) counts.anonymous += 1;
        else counts.loggedIn += 1;
        if (data === null) counts.unreadable += 1;
        progress.add(1);
      }
    });
  } catch (error) {
    if (counts.live > 0) print(`At least ${counts.live}`);
    throw error;
  }
  print(String(counts.live));
  return 0;
}
