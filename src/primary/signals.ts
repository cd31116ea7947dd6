/**
 * The signals of the node, handled once per process, here. First SIGTERM or SIGINT: stop, within the deadline. The
 * second: now. Workers ignore SIGINT, which Ctrl-C sends to the whole group: only the primary decides.
 */
export function onStopSignals(listeners: { first: (signal: string) => void; second: () => void }): () => void {
  let seen = 0;
  const listener = (signal: string): void => {
    seen += 1;
    if (seen === 1) listeners.first(signal);
    else listeners.second();
  };
  const signals = ['SIGTERM', 'SIGINT'] as const;
  for (const signal of signals) process.on(signal, listener);
  return () => {
    for (const signal of signals) process.off(signal, listener);
  };
}
