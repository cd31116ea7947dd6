/** Scrapes of several systems share one look: asked at most once in `forMs`; undefined while it cannot be answered. */
export function askedRarely<Answer>(read: () => Promise<Answer>, forMs: number): () => Promise<Answer | undefined> {
  let asked: { readonly atMs: number; readonly answer: Promise<Answer | undefined> } | undefined;
  return () => {
    const nowMs = performance.now();
    if (asked === undefined || nowMs - asked.atMs >= forMs)
      asked = { atMs: nowMs, answer: read().catch(() => undefined) };
    return asked.answer;
  };
}
