import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { secp256k1 } from '@noble/curves/secp256k1.js';
import pg from 'pg';
import t from 'tap';
import { connectionOptions } from '../src/shared/database/pool.ts';
import { startTimer } from './support/in-time.ts';
import { openSystem } from './support/system.ts';
import { until } from './support/until.ts';

const system = await openSystem(t);
const key = await system.sdk.keys.createKey({ body: { scheme: 'ECDSA', curve: 'secp256k1' } });

function sign(hash: string, externalId?: string) {
  const body = { kind: 'Hash' as const, hash, ...(externalId === undefined ? {} : { externalId }) };
  return system.sdk.keys.generateSignature({ keyId: key.id, body });
}

/** Process ids of the workers, which the kernel calls children of the primaries. */
function workersOf(primary: number): number[] {
  return readFileSync(`/proc/${primary}/task/${primary}/children`, 'utf8')
    .trim()
    .split(' ')
    .filter(Boolean)
    .map(Number);
}

t.test(
  'a worker that is killed while it holds requests costs their callers a second or two, not the lease',
  async (t) => {
    const client = new pg.Client(
      connectionOptions(system.databases.api, { applicationName: 'test', durability: 'durable' }),
    );
    await client.connect();
    t.teardown(() => client.end());
    const hashes = Array.from({ length: 60 }, () => randomBytes(32).toString('hex'));
    const workers = system.nodes.map((node) => workersOf(node.pid));
    // Frozen while their lease calls wait: what the API hands out now stays leased.
    for (const worker of workers.flat()) process.kill(worker, 'SIGSTOP');
    const taken = startTimer(t);
    const answers = Promise.all(hashes.map((hash) => sign(hash)));
    await until('requests are leased', async () => {
      const { rowCount } = await client.query("select 1 from request where state = 'leased'");
      return (rowCount ?? 0) > 0;
    });
    const [killed = [], others = []] = workers;
    for (const worker of killed) process.kill(worker, 'SIGKILL');
    for (const worker of others) process.kill(worker, 'SIGCONT');
    const results = await answers;
    taken('all are signed, far below the 15 s of a lease', 10_000);
    for (const [at, result] of results.entries()) {
      t.equal(result.status, 'Signed');
      const rs = Buffer.from(`${result.signature?.r.slice(2)}${result.signature?.s.slice(2)}`, 'hex');
      t.ok(
        secp256k1.verify(rs, Buffer.from(hashes[at] ?? '', 'hex'), Buffer.from(key.publicKey, 'hex'), {
          prehash: false,
          lowS: true,
        }),
      );
    }
  },
);

t.test('the same externalId gives the same signature, also after every worker was replaced', async (t) => {
  const externalId = randomBytes(8).toString('hex');
  const hash = randomBytes(32).toString('hex');
  const first = await sign(hash, externalId);
  for (const node of system.nodes) for (const worker of workersOf(node.pid)) process.kill(worker, 'SIGKILL');
  const again = await sign(hash, externalId);
  t.same(again.signature, first.signature);
  t.equal(again.id, first.id);
  await t.rejects(sign(randomBytes(32).toString('hex'), externalId), { message: /externalId/ });
  const fresh = await until('a worker is there again', async () => {
    const answer = await sign(randomBytes(32).toString('hex')).catch(() => undefined);
    return answer?.status === 'Signed' && answer;
  });
  t.equal(fresh.status, 'Signed');
});
