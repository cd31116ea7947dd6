import { createHash, randomBytes } from 'node:crypto';
import fc from 'fast-check';
import t from 'tap';
import { openTestDatabases } from './support/database.ts';
import { makeKey, openQueue, organisation, signRequest } from './support/queue.ts';

const databases = await openTestDatabases(t);
const processes = [
  await openQueue(t, databases.api, 300_000, 10_000),
  await openQueue(t, databases.api, 300_000, 10_000),
] as const;
const key = await makeKey(processes[0]);

/** Sent by an application: to one of two API processes, under one of a few externalIds, with one of two bodies. */
const sending = fc.record({ to: fc.nat({ max: 1 }), externalId: fc.nat({ max: 3 }), body: fc.nat({ max: 1 }) });

t.test(
  'however requests of one externalId arrive, one row is made, by one of them, and all are told of that one',
  async (t) => {
    await fc.assert(
      fc.asyncProperty(fc.array(sending, { minLength: 1, maxLength: 12 }), async (sendings) => {
        const run = randomBytes(8).toString('hex');
        const answers = await Promise.all(
          sendings.map(async ({ to, externalId, body }) => {
            const fingerprint = createHash('sha256').update(`${body}`).digest();
            const request = { ...signRequest(key.id, { externalId: `${run}-${externalId}` }), fingerprint };
            const answer = await (processes[to] ?? processes[0]).application.submit(request);
            return { externalId, ...answer };
          }),
        );
        for (const externalId of new Set(sendings.map((one) => one.externalId))) {
          const told = answers.filter((one) => one.externalId === externalId);
          const stored = await processes[0].application.find(organisation, told[0]?.row.id ?? '');
          if (told.filter((one) => one.fresh).length !== 1) return false;
          if (!told.every(({ row }) => row.id === stored?.id && row.fingerprint.equals(stored.fingerprint)))
            return false;
        }
        return true;
      }),
      { numRuns: 40 },
    );
    t.pass('40 runs');
  },
);
