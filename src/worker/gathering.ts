/**
 * Work on lists, one call at a time: lists that arrive meanwhile wait and go together with the next call, so that under
 * load a few large calls are made instead of many small ones. When a call for several lists is rejected, each list is
 * tried alone, so that the one to blame fails alone.
 * @param general a rejection that is not about an item: nothing is tried again.
 */
export function gathering<Item, Answer>(
  work: (items: readonly Item[]) => Promise<Answer>,
  general: (error: unknown) => boolean,
): (items: readonly Item[]) => Promise<Answer> {
  let waiting: Waiting<Item, Answer>[] = [];
  let working = false;

  async function workOff(): Promise<void> {
    working = true;
    while (waiting.length > 0) {
      const together = waiting;
      waiting = [];
      await workTogether(together);
    }
    working = false;
  }

  async function workTogether(together: readonly Waiting<Item, Answer>[]): Promise<void> {
    try {
      const answer = await work(together.flatMap(({ items }) => items));
      for (const { resolve } of together) resolve(answer);
    } catch (error) {
      if (together.length === 1 || general(error)) for (const { reject } of together) reject(error);
      else for (const one of together) await workTogether([one]);
    }
  }

  return (items) => {
    const { promise, resolve, reject } = Promise.withResolvers<Answer>();
    waiting.push({ items, resolve, reject });
    if (!working) void workOff();
    return promise;
  };
}

interface Waiting<Item, Answer> {
  readonly items: readonly Item[];
  resolve(answer: Answer): void;
  reject(error: unknown): void;
}
