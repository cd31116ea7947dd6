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

/** To a worker, which its primary may have ended already: it must not be silent for 2 s. */
function signal(worker: number, name: NodeJS.Signals): void {
  try {
    process.kill(worker, name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

t.test(
  'a worker that is killed while it holds requests costs their callers a second or two, not the lease',
  async (t) => {
    const client = new pg.Client(
      connectionOptions(system.databases.api, { applicationName: 'test', durability: 'durable' }),
    );
    await client.connect();
    t.teardown(() => client.end());
    const hashes = Array.from({ length: 20 }, () => randomBytes(32).toString('hex'));
    const workers = new Map(system.nodes.map(({ name, pid }) => [name, workersOf(pid)]));
    // Frozen while their lease calls wait: what the API hands out now stays leased.
    for (const worker of [...workers.values()].flat()) signal(worker, 'SIGSTOP');
    const taken = startTimer(t);
    const answers = Promise.all(hashes.map((hash) => sign(hash)));
    // On a busy machine it may be over by now: their primaries replace workers that are frozen for too long.
    const holder = await until('requests are handed out', async () => {
      const { rows } = await client.query<{ node: string | null }>(
        `select driver_instance.node from request left join driver_instance on driver_instance.id = request.instance
         where request.kind = 'Sign' and deliveries > 0 order by state = 'leased' desc limit 1`,
      );
      return rows[0] && (rows[0].node ?? 'node-1');
    });
    for (const [node, all] of workers)
      for (const worker of all) signal(worker, node === holder ? 'SIGKILL' : 'SIGCONT');
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
  for (const node of system.nodes) for (const worker of workersOf(node.pid)) signal(worker, 'SIGKILL');
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
