/** Runs both sides in turn, so that whatever else the machine does meets both alike. */
export async function interleave<A, B>(
  rounds: number,
  one: () => Promise<A>,
  other: () => Promise<B>,
): Promise<{ readonly one: A; readonly other: B }[]> {
  const pairs: { one: A; other: B }[] = [];
  for (let round = 0; round < rounds; round += 1) {
    // Who begins changes: a machine that slows down over a pair would else always favour the first.
    if (round % 2 === 0) {
      const first = await one();
      pairs.push({ one: first, other: await other() });
    } else {
      const first = await other();
      pairs.push({ one: await one(), other: first });
    }
  }
  return pairs;
}

export async function repeat<Value>(rounds: number, work: () => Promise<Value>): Promise<Value[]> {
  const values: Value[] = [];
  for (let round = 0; round < rounds; round += 1) values.push(await work());
  return values;
}
