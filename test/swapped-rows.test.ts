import { join } from 'node:path';
import pg from 'pg';
import t from 'tap';
import { connectionOptions } from '../src/shared/database/pool.ts';
import { runCommand } from './support/command.ts';
import { allReady, openSystem } from './support/system.ts';
import { until } from './support/until.ts';

/** What `npm start` runs, and somebody who writes in its driver database; its tokens as `hsm-driver qualify` sees them. */
t.setTimeout(400_000);
const system = await openSystem(t);
const keys = [];
for (let one = 0; one < 3; one += 1)
  keys.push(await system.sdk.keys.createKey({ body: { scheme: 'ECDSA', curve: 'secp256k1' } }));
const [first, second, neighbour] = keys as [(typeof keys)[0], (typeof keys)[0], (typeof keys)[0]];

const owner = new pg.Client(
  connectionOptions(system.databases.driver, { applicationName: 'test', durability: 'durable', role: 'owner' }),
);
owner.on('error', () => {}); // the server stops before this client’s end is heard
await owner.connect();
t.teardown(() => owner.end().catch(() => {}));

/** Not in the memory of a worker any more: a row is checked when it enters that. */
async function swapBlobs(): Promise<void> {
  const running = [...nodes];
  await Promise.all(running.map((node) => node.stop()));
  await owner.query(
    `update wrapped_key as mine set blob = other.blob from wrapped_key as other
     where (mine.key_id = $1 and other.key_id = $2) or (mine.key_id = $2 and other.key_id = $1)`,
    [first.id, second.id],
  );
  nodes = [1, 2].map((n) => system.startNode(n));
  await Promise.all(nodes.map((node) => node.line('slot ready')));
  await allReady(system);
}
let nodes = system.nodes;

const sign = (keyId: string) =>
  system.sdk.keys.generateSignature({ keyId, body: { kind: 'Hash', hash: `0x${'ab'.repeat(32)}` } });

t.test('two rows whose blobs were swapped: neither key signs, others do, and it is counted and alarmed', async (t) => {
  await swapBlobs();
  const [one, two, three] = await Promise.all([sign(first.id), sign(second.id), sign(neighbour.id)]);
  t.match(one, { status: 'Failed' });
  t.match(two, { status: 'Failed' });
  t.match(three, { status: 'Signed' });
  for (const answer of [one, two]) t.notOk('signature' in answer && answer.signature, 'nothing signed');

  const { out } = await runCommand('api', 'requests', 'failed', '--json', '--config', system.places.apiConfig);
  t.same(
    (JSON.parse(out) as { code: string; reason: string }[]).map(({ code, reason }) => `${code}: ${reason}`).sort(),
    [first.id, second.id].map((id) => `KEY_UNUSABLE: the tag of key ${id} does not hold`).sort(),
  );
  const { rows: journaled } = await owner.query('select count(*)::int as count from journal');
  t.same(journaled, [{ count: 1 }], 'the neighbour’s, and nothing of these');
  await until('the alarm’s metric', async () => (await tagFailures()) >= 2);

  await swapBlobs();
  for (const { id } of [first, second]) t.match(await sign(id), { status: 'Signed' }, 'once they are back');
});

/** Of all slots, as the alarm sees it. */
async function tagFailures(): Promise<number> {
  const texts = await Promise.all(
    Object.values(system.ports.operations).map(async (port) =>
      (await fetch(`http://127.0.0.1:${port}/metrics`)).text(),
    ),
  );
  const found = texts.flatMap((text) => [
    ...text.matchAll(/^hsm_driver_events_total\{[^}]*"tag_failures"[^}]*\} (\d+)$/gm),
  ]);
  return found.reduce((sum, [, count]) => sum + Number(count), 0);
}

t.test('qualify on the tokens of this installation prints a full report, tier A, and ends with 0', async (t) => {
  const { code, out, errors } = await runCommand(
    'qualify',
    '--without-rates',
    '--config',
    join(system.places.node(1), 'config.yaml'),
  );
  t.equal(code, 0, errors);
  for (const part of [/: tier A/, /identity +holds mk-/, /secp256k1 .* works/, /refused +unwrap as extractable/])
    t.match(out, part);
  t.notMatch(out, /POSSIBLE|NOT /);
});
