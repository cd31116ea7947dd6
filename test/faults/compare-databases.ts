import type { FaultSystem } from './fault-system.ts';

/**
 * What applications were answered is what drivers have written down, for every request of the whole run.
 * @returns how many were compared, and one sentence for each that differs.
 */
export async function compareDatabases(
  system: FaultSystem,
): Promise<{ readonly compared: number; readonly problems: readonly string[] }> {
  const answered = await system.query<{ id: string; signatures: readonly { readonly rs: string }[] }>(
    'api',
    "select id, signatures from request where kind = 'Sign' and state = 'signed'",
  );
  const journaled = await system.query<{ request_id: string; signatures: readonly Buffer[] }>(
    'driver',
    'select request_id, signatures from journal',
  );
  const journal = new Map(
    journaled.map(({ request_id, signatures }) => [request_id, signatures.map((one) => one.toString('hex')).join()]),
  );
  const problems = answered.flatMap(({ id, signatures }) => {
    const stored = journal.get(id);
    if (stored === signatures.map(({ rs }) => rs).join()) return [];
    return [
      `${id} was answered with ${stored === undefined ? 'a signature that no journal has' : 'another signature'}`,
    ];
  });
  return { compared: answered.length, problems };
}
