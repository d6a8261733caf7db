/**
 * The client's `timeoutMS` limits one command; this limits a call, with its wait for other calls and all its commands. What
 * was begun goes on by itself, and nobody waits for it. Drivers in which `timeoutMS` has no effect (6.22 and 7.9) don't
 * tell it either: with them there is no limit here.
 *
 * @param ms absent: no limit
 */
export async function within<Answer>(ms: number | undefined, work: Promise<Answer>): Promise<Answer> {
  if (ms === undefined || ms <= 0) return work;
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within the client's timeoutMS of ${ms} ms`)), ms);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
