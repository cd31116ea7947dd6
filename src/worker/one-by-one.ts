/**
 * Runs a batch; when the batch as a whole is rejected, runs its items one by one, so that the one to blame fails alone
 * and its neighbours do not. A rejection that is not about an item (`general`) is not tried again.
 */
export async function oneByOne<Item, Result>(
  items: readonly Item[],
  run: (items: readonly Item[]) => Promise<readonly Result[]>,
  general: (error: unknown) => boolean,
  failed: (item: Item, error: unknown) => Result,
): Promise<readonly Result[]> {
  if (items.length === 0) return [];
  try {
    const results = await run(items);
    if (results.length !== items.length) throw new Error(`${results.length} answers for ${items.length} items`);
    return results;
  } catch (error) {
    if (items.length === 1 || general(error)) return items.map((item) => failed(item, error));
    const results: Result[] = [];
    for (const item of items) results.push(...(await oneByOne([item], run, general, failed)));
    return results;
  }
}
