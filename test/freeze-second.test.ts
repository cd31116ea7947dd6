import { generateKeyPairSync, randomUUID } from 'node:crypto';
import t from 'tap';
import { createLog } from '../src/shared/log.ts';
import { readClock } from '../src/shared/orders/clock.ts';
import { openLocalPolicy } from '../src/worker/policy/local-policy.ts';
import type { PolicyRows } from '../src/worker/policy/policy-rows.ts';
import { policyReading, startPolicyState } from '../src/worker/policy/policy-state.ts';
import { temporaryDirectory } from './support/soft-token.ts';
import { until } from './support/until.ts';

/** A freeze is effective on every node within a second, whether that node has something to do or not. */
type Row = { clock_ms: string } & Omit<PolicyRows, 'clockMs'>;
const empty = { freezes: [], thaws: [], claims: [] };
const freeze = { id: randomUUID(), scope: 'key', subject: 'key-1' } as const;

/** A database whose answers the test gives. */
function openPolicy() {
  const asked: ((row: Row) => void)[] = [];
  const state = startPolicyState({
    keyStore: 'test',
    attestationKey: generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey,
    operators: undefined,
    leastListVersion: 1,
    database: {
      async query<Answer>(): Promise<Answer[]> {
        const row = await new Promise<Row>((resolve) => asked.push(resolve));
        return [row as Answer];
      },
    },
    local: openLocalPolicy(temporaryDirectory(t), 'slot'),
    readClock,
    log: createLog('silent', {}),
  });
  t.teardown(() => state.stop());
  const answer = async (rows: Omit<Row, 'clock_ms'>): Promise<void> => {
    const resolve = await until('a question', () => asked.shift());
    resolve({ clock_ms: String(Date.now()), ...rows });
  };
  return { state, asked, answer };
}

t.test('what a decision is made by, and how often it is read, stays within the second', async (t) => {
  t.ok(policyReading.oldestMs <= 1_000);
  t.ok(policyReading.everyMs + policyReading.oldestMs <= 1_000);
});

t.test('a node that has nothing to do reads again and again', async (t) => {
  const { state, answer } = openPolicy();
  await answer(empty);
  await answer(empty);
  await answer({ ...empty, freezes: [freeze] });
  await until('it is frozen', () => state.known.frozen.length === 1);
  t.pass('without being asked');
});

t.test('a decision is never made by what is older: it waits for the database instead', async (t) => {
  const { state, asked, answer } = openPolicy();
  const began = performance.now();
  const first = state.current();
  await answer(empty);
  t.strictSame((await first).frozen, []);
  // The next read hangs, as one does whose database is slow, until what was read has become too old.
  await until('too old', () => asked.length > 0 && performance.now() - began > policyReading.oldestMs);
  let decided = false;
  const decision = state.current().then((policy) => {
    decided = true;
    return policy;
  });
  await new Promise((resolve) => setImmediate(resolve));
  t.notOk(decided, 'it waits');
  await answer({ ...empty, freezes: [freeze] });
  t.strictSame((await decision).frozen, [freeze]);
});
