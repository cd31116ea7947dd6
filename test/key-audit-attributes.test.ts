import t from 'tap';
import { createHsmDesk, type HsmDesk } from '../src/primary/maintenance/hsm-desk.ts';
import type { KeysToCheck } from '../src/shared/hsm-work.ts';
import { createLog } from '../src/shared/log.ts';
import { answeringMoves } from '../src/worker/jobs/hsm-calls.ts';
import type { Bench } from '../src/worker/maintenance/bench.ts';
import { checkKeys } from '../src/worker/maintenance/check-keys.ts';
import { createPace } from '../src/worker/maintenance/pace.ts';
import { createSlotState } from '../src/worker/slot-state.ts';
import { makeCertificates } from './support/certificates.ts';
import { openTestDatabases } from './support/database.ts';
import { installUnscheduled, runJob } from './support/maintenance-node.ts';
import { openScriptedApi } from './support/scripted-api.ts';
import { makeKey, startSlotWorker } from './support/slot-worker.ts';

/** Attributes are looked at by chance; here the dice are the test's own. */
const databases = await openTestDatabases(t);
const quiet = createLog('silent', {});
await installUnscheduled(databases.driver);
const certificates = await makeCertificates(t);
const api = await openScriptedApi(t, certificates);
const { hsm, database } = await startSlotWorker(t, { api, certificates, database: databases.driver });
const bench: Bench = {
  keyStore: 'test',
  hsm,
  moving: answeringMoves(hsm),
  database,
  device: { judge: async () => 'sound' },
  state: createSlotState(quiet),
  pace: createPace(() => false),
  log: quiet,
};

const never = 1;
/** What the next throws of the dice say; `never` after that. */
const dice: number[] = [];
const random = (): number => dice.shift() ?? never;
const look = (work: KeysToCheck) => checkKeys(bench, work, new AbortController().signal, random);
const desk: HsmDesk = createHsmDesk({
  readySlots: () => ['a'],
  askHsm: async (_slot, work) =>
    work.kind === 'check-keys' ? { done: true, value: await look(work) } : { done: false, why: 'unknown' },
});
const audit = () => runJob(t, databases.driver, 'key-audit', desk);

t.test('the second look at a key whose attributes are wrong looks at them again', async (t) => {
  const { id } = await makeKey(api);
  hsm.extractable.add(id);
  dice.push(0);
  const problem = 'the token opened it with CKA_EXTRACTABLE is true';
  t.strictSame(await look({ keyIds: [id] }), [{ keyId: id, verdict: 'attributes', problem }]);
  t.match(await look({ keyIds: [id] }), [{ verdict: 'holds' }], 'it is looked at by chance only');
  t.match(await look({ keyIds: [id], inFull: [id] }), [{ verdict: 'attributes' }], 'unless that is asked for');
  hsm.extractable.clear();
});

t.test('what was found stays an alarm until its attributes are right, whatever the dice say', async (t) => {
  const { id } = await makeKey(api);
  hsm.extractable.add(id);
  const alarms = [`1 stored keys fail (attributes): ${id}`];
  // One for each key that there is.
  dice.push(0, 0);
  t.match(await audit(), { state: 'done', facts: { attributes: 1 }, alarms });
  dice.length = 0;
  for (const run of ['first', 'second']) t.strictSame((await audit()).alarms, alarms, `the ${run} run after it`);
  hsm.extractable.clear();
  t.strictSame((await audit()).alarms, []);
});
