import { randomUUID } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { stringify } from 'yaml';
import type { CeremonyConfiguration } from '../src/shared/configuration/ceremony.ts';
import { exitCodes } from '../src/shared/exit-codes.ts';
import { readRotations } from '../src/shared/rotation/rotation-rows.ts';
import { runCommand } from './support/command.ts';
import { keyRowsFrom } from './support/key-rows.ts';
import { objectsOn } from './support/objects-on.ts';
import { openRotationCluster } from './support/rotation-cluster.ts';
import { holdNext, rotationCeremony } from './support/rotation-store.ts';
import { signOffer } from './support/slot-worker.ts';
import { addToken, slotIn } from './support/soft-token.ts';
import { until } from './support/until.ts';

/**
 * A second rotation, after the first one and before its old key was destroyed: two rotation nodes are there, and the one
 * that is at it dies. Then both old keys are destroyed, each by its own protocol file.
 */
const cluster = await openRotationCluster(t);
const { store, api, pool, databases } = cluster;
const keyCount = 100;
const keys = await keyRowsFrom(store, pool, 'P-256', keyCount);
const rotation2 = slotIn(join(store.directory, 'rotation-2'), 'rotation-2');
await addToken(rotation2);
const thirdFile = join(store.directory, 'third.json');
const firstCeremony = rotationCeremony(store.slots, store.rotation, store.ceremonyFile);
/** Of the second key: the same tokens and backup token, and a rotation token of its own. */
const secondCeremony: CeremonyConfiguration = {
  ...rotationCeremony(store.slots, rotation2, store.nextFile),
  backup: firstCeremony.backup,
};
const [first, second] = [store.ceremony.masterKey, store.next.masterKey];
const rotate = (...words: string[]) => runCommand('rotate', ...words, '--config', cluster.configs[0]);

async function rowsByKey(): Promise<Record<string, number>> {
  const { rows } = await pool.query<{ id: string; n: number }>(
    'select master_key_id as id, count(*)::int as n from wrapped_key group by 1',
  );
  return Object.fromEntries(rows.map(({ id, n }) => [id, n]));
}

async function someSign(): Promise<void> {
  for (const key of keys.slice(0, 20)) {
    const offer = signOffer(key.keyId, { type: { scheme: 'ECDSA', curve: 'P-256' }, id: `sig-${randomUUID()}` });
    api.offer(offer);
    const result = await api.outcome(offer.id, 30_000);
    if (result.kind !== 'Signatures' || result.publicKey !== key.publicKey) throw new Error(JSON.stringify(result));
  }
}

const started = (from: string) =>
  until('it starts', async () => (await rotate('start', '--from', from, '--yes')).code === 0);

t.test('the first rotation moves all keys', async (t) => {
  await cluster.setKeys(store.nextFile, [store.ceremonyFile]);
  const node = cluster.startRotationNode();
  await node.line('slot ready');
  await started(first.id);
  await node.line('rotation finished');
  t.same(await rowsByKey(), { [second.id]: keyCount });
  node.signalGroup('SIGTERM');
  await node.exited;
});

t.test('a rotation whose node dies is taken over by another rotation node, which finishes it', async (t) => {
  const third = await holdNext(secondCeremony, thirdFile);
  await cluster.setKeys(thirdFile, [store.nextFile]);
  const configuration = {
    ceremonyFile: thirdFile,
    furtherCeremonyFiles: [store.nextFile],
    rotation: { keysPerSecond: 25 },
    slots: [rotation2],
  };
  const nodes = ['rotation-1', 'rotation-2'].map((node) => cluster.startRotationNode({ ...configuration, node }));
  for (const node of nodes) await node.line('slot ready');
  await started(second.id);
  const [dies, other] = await until('one of them is at it', () => {
    const at = nodes.findIndex((node) => node.count('rotation goes on') > 0);
    return at >= 0 && [nodes[at], nodes[1 - at]];
  });
  await until('some keys are moved', async () => ((await rowsByKey())[third.masterKey.id] ?? 0) > 0);
  dies?.signalGroup('SIGKILL');
  await dies?.exited;
  const half = await rowsByKey();
  t.ok((half[second.id] ?? 0) > 0, `killed in the middle: ${JSON.stringify(half)}`);
  t.equal(other?.count('rotation goes on'), 0, 'two nodes are never at it at once');
  await someSign();
  // As if the time had passed in which a node that lives would have been heard of.
  await databases.driverAsOwner(`update maintenance.job set heartbeat_on = now() - interval '5 minutes'
    where name = 'master-key-rotation' and state = 'active'`);
  await other?.line('rotation finished');
  t.same(await rowsByKey(), { [third.masterKey.id]: keyCount });
  t.match((await readRotations(pool))[0], { state: 'finished', moved: keyCount, proof: { underOldKey: 0 } });
  await someSign();
});

t.test(
  'with two old keys left, which one is destroyed must be said, and each is destroyed by its own file',
  async (t) => {
    const file = (name: string, ceremony: CeremonyConfiguration): string => {
      const path = join(store.directory, `${name}.yaml`);
      writeFileSync(path, stringify(ceremony));
      return path;
    };
    const [ofFirst, ofSecond] = [file('destroy-first', firstCeremony), file('destroy-second', secondCeremony)];
    const destroy = (ceremony: string, ...more: string[]) =>
      rotate('destroy-old', '--ceremony', ceremony, '--yes', ...more);
    const [signing] = store.slots;
    const refused = await destroy(ofFirst);
    t.match(refused, { code: exitCodes.ROTATION.code });
    t.match(refused.errors, /more than one old key is left \(mk-\S+, mk-\S+\): name one with --from/);
    const wrong = await destroy(ofSecond, '--from', first.id);
    t.match(wrong, { code: exitCodes.CEREMONY.code, errors: new RegExp(`is of ${second.id}, not of ${first.id}`) });
    const held = await objectsOn(signing);
    t.ok(held.includes(first.label) && held.includes(second.label), 'nothing was destroyed');

    t.match(await destroy(ofFirst, '--from', first.id), { code: 0, out: `${first.id} is destroyed` });
    const between = await objectsOn(signing);
    t.notOk(between.includes(first.label));
    t.ok(between.includes(second.label));
    t.match(await destroy(ofSecond), { code: 0, out: `${second.id} is destroyed` }, 'the only one that is left');
    for (const slot of [...store.slots, rotation2]) t.notOk((await objectsOn(slot)).includes(second.label), slot.name);
    t.same(
      (await readRotations(pool)).map(({ state }) => state),
      ['destroyed', 'destroyed'],
    );
    await someSign();
  },
);
