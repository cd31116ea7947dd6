import { randomUUID } from 'node:crypto';
import t from 'tap';
import { createAuditChain } from '../src/shared/audit/chain.ts';
import { entryHash, seal } from '../src/shared/audit/entry.ts';
import type { AuditEvent } from '../src/shared/audit/event.ts';
import { headHolds } from '../src/shared/audit/head.ts';
import { openAuditLog } from '../src/shared/audit/open-log.ts';
import type { SignedHead } from '../src/shared/audit/signed-head.ts';
import { createLog } from '../src/shared/log.ts';
import { startHeadSigner } from '../src/worker/audit/head-signer.ts';
import { chainFaults, readChain } from './support/audit-chain.ts';
import { makeCertificates } from './support/certificates.ts';
import { openTestDatabases } from './support/database.ts';
import { runJob, workersDesk } from './support/maintenance-node.ts';
import { openScriptedApi } from './support/scripted-api.ts';
import { makeKey, startSlotWorker } from './support/slot-worker.ts';
import { createSoftwareHsm } from './support/software-hsm.ts';
import { until } from './support/until.ts';

/** The hourly job over the chains of two workers and a command, and the head that each worker writes to its log. */
const databases = await openTestDatabases(t);
const certificates = await makeCertificates(t);
const api = await openScriptedApi(t, certificates);
const workers = {
  a: await startSlotWorker(t, { api, certificates, database: databases.driver }),
  b: await startSlotWorker(t, { api, certificates, database: databases.driver, node: 'node-2' }),
};
const { pool } = workers.a;
for (const worker of Object.values(workers)) await worker.audit.append();
await makeKey(api);
const command = openAuditLog(pool, { program: 'command', command: 'pin clear', keyStore: 'test' });
const cleared = { kind: 'pin-cleared', guardGroup: 'serial', node: 'node-1', slot: 'a' } as const;
await command.append(cleared, cleared);
const anchoring = (desk = workersDesk(workers)) => runJob(t, databases.driver, 'audit-anchoring', desk);

async function told(chain: string) {
  return (await readChain(pool, chain)).flatMap(({ event }) => (event.kind === 'head-anchored' ? [event] : []));
}

t.test('one worker tells in its chain how far every other chain has come', async (t) => {
  t.match(await anchoring(workersDesk({ a: workers.a })), {
    state: 'done',
    facts: { chains: 3, anchored: 2 },
    alarms: [],
  });
  const entries = await readChain(pool, command.id);
  const last = entries.at(-1);
  t.match(
    (await told(workers.a.instance)).find(({ chain }) => chain === command.id),
    { head: { sequence: 3, hash: entryHash(last?.line ?? '') } },
  );
  t.strictSame(
    (await told(workers.a.instance)).map(({ chain }) => chain).toSorted(),
    [command.id, workers.b.instance].toSorted(),
  );
  t.strictSame(await told(workers.b.instance), []);
  t.strictSame(chainFaults(await readChain(pool, workers.a.instance)), []);
  t.match(await anchoring(workersDesk({ b: workers.b })), { alarms: [], facts: { anchored: 2, checked: Number } });
});

t.test('what an attempt that is over asks for is not written, and the chain goes on', async (t) => {
  const before = await told(workers.a.instance);
  const attempt = { queue: 'audit-anchoring', id: randomUUID(), retryCount: 0 } as const;
  const heads = [{ chain: command.id, head: { sequence: 3, hash: entryHash('anything') } }];
  t.match(await workers.a.hsmWork({ kind: 'anchor-chains', attempt, heads }), {
    done: false,
    why: 'failed',
    problem: /is over/,
  });
  t.strictSame(await told(workers.a.instance), before);
  await workers.a.audit.append(cleared);
  t.strictSame(chainFaults(await readChain(pool, workers.a.instance)), []);
});

t.test('a chain whose end was cut, and one that was written anew, are alarms', async (t) => {
  const entries = await readChain(pool, command.id);
  const end = entries.at(-1);
  await databases.driverAsOwner('delete from audit_entry where chain = $1 and sequence = 3', [command.id]);
  t.match(await anchoring(), {
    state: 'done',
    alarms: [new RegExp(`audit chain ${command.id}: entry 3, .* is missing`)],
  });
  await databases.driverAsOwner('insert into audit_entry values ($1, 3, $2)', [
    command.id,
    end?.line.replace('serial', 'another'),
  ]);
  t.match(await anchoring(), { alarms: [new RegExp(`audit chain ${command.id}: entry 3, .* is not the one`)] });
  await databases.driverAsOwner('update audit_entry set entry = $2 where chain = $1 and sequence = 3', [
    command.id,
    end?.line,
  ]);
  t.strictSame((await anchoring()).alarms, [], 'what was put there meanwhile was not told of');
});

t.test('a worker whose HSM signs no heads while its chain grows is an alarm', async (t) => {
  const chain = randomUUID();
  const opened = { kind: 'opened', chain, program: 'worker', keyStore: 'test', node: 'node-3', slot: 'c' } as const;
  const before = seal(undefined, [opened], { version: 'test' }, new Date(Date.now() - 20 * 60_000));
  const after = seal(before.head, [cleared], { version: 'test' }, new Date());
  const lines = [...before.entries, ...after.entries];
  for (const [at, line] of lines.entries())
    await pool.query('insert into audit_entry values ($1, $2, $3)', [chain, at + 1, line]);
  t.match(await anchoring(), {
    alarms: [`slot node-3/c signed no head of its audit chain ${chain} for 20 minutes while it grew`],
  });
});

t.test('the newest signed head goes to the log in its time, and again only when there is a newer one', async (t) => {
  const hsm = createSoftwareHsm();
  const lines: { msg: string; auditHead?: SignedHead }[] = [];
  const audit = createAuditChain({
    id: randomUUID(),
    opened: { program: 'worker', keyStore: 'test' },
    stamp: { version: 'test' },
    insert: async () => {},
    persistently: (work) => work(),
    isUnsure: () => true,
  });
  const given: SignedHead[] = [];
  const signer = startHeadSigner({
    audit,
    carrier: { give: (head) => void given.push(head) },
    signHead: hsm.signHead,
    mayWork: () => true,
    log: createLog('info', {}, { write: (line) => void lines.push(JSON.parse(line)) }),
    pace: { lookMs: 5, pauseMs: 10, logMs: 20 },
  });
  const heads = () => lines.flatMap(({ msg, auditHead }) => (msg === 'audit head' && auditHead ? [auditHead] : []));
  const event: AuditEvent = cleared;
  await audit.append(event);
  const first = await until('a head in the log', () => heads()[0]);
  t.ok(headHolds(hsm.attestationKey, 'test', first));
  await audit.append(event);
  const second = await until('a newer one', () => heads().find(({ sequence }) => sequence > first.sequence));
  t.ok(headHolds(hsm.attestationKey, 'test', second));
  await until('time for several lines has passed', () => given.length > 0);
  await signer.close();
  const sequences = heads().map(({ sequence }) => sequence);
  t.strictSame(
    sequences,
    [...new Set(sequences)].toSorted((a, b) => a - b),
    'each once, and never an older one',
  );
  t.equal(sequences.at(-1), given.at(-1)?.sequence, 'the last one at the end');
});
