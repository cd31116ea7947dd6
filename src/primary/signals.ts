/**
 * The signals of the node, handled once per process, here. First SIGTERM or SIGINT: stop, within the deadline. The
 * second: now. SIGHUP: read the configuration again. Workers ignore SIGINT and SIGHUP, which a terminal sends to the
 * whole group: only the primary decides.
 */
export function onSignals(listeners: {
  first: (signal: string) => void;
  second: () => void;
  reload: () => void;
}): () => void {
  let seen = 0;
  const stop = (signal: string): void => {
    seen += 1;
    if (seen === 1) listeners.first(signal);
    else listeners.second();
  };
  const reload = (): void => {
    if (seen === 0) listeners.reload();
  };
  const signals = ['SIGTERM', 'SIGINT'] as const;
  for (const signal of signals) process.on(signal, stop);
  process.on('SIGHUP', reload);
  return () => {
    for (const signal of signals) process.off(signal, stop);
    process.off('SIGHUP', reload);
  };
}
