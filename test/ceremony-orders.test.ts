import { execFile } from 'node:child_process';
import { createHash, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import t from 'tap';
import { readCeremonyFile } from '../src/shared/ceremony-file.ts';
import { writeOrderFile } from '../src/shared/orders/order-file.ts';
import { newOrder, signOrder } from '../src/shared/orders/sign-order.ts';
import { ceremonyFor, createKeyStore } from './support/soft-token.ts';

/** Steps that change a key store need the operators’ order, where the configuration names operators. */
const cli = resolve(import.meta.dirname, '../src/cli/main.ts');
const store = await createKeyStore(t);
const { directory, ceremonyFile } = store;
const { live: _, ...notLive } = store.ceremony;
writeFileSync(ceremonyFile, JSON.stringify(notLive));

const operators = ['ada', 'grace'].map((name) => {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  const publicKeyFile = join(directory, `${name}.pem`);
  writeFileSync(publicKeyFile, publicKey.export({ type: 'spki', format: 'pem' }));
  return { name, publicKeyFile, privateKey };
});
const config = join(directory, 'config.json');
const keys = operators.map(({ name, publicKeyFile }) => ({ name, publicKeyFile }));
writeFileSync(config, JSON.stringify({ ...ceremonyFor(store.slots, ceremonyFile), operators: { threshold: 2, keys } }));

async function run(...args: readonly string[]): Promise<{ code: number; stderr: string }> {
  const { NODE_OPTIONS: _, ...env } = process.env; // not the test runner’s hooks
  try {
    const all = [cli, 'ceremony', ...args, '--config', config, '--yes'];
    return { code: 0, ...(await promisify(execFile)(process.execPath, all, { env })) };
  } catch (error) {
    return error as { code: number; stderr: string };
  }
}

function ordered(subject: string, signers: readonly { name: string; privateKey: KeyObject }[]): string {
  const documentSha256 = createHash('sha256').update(readFileSync(ceremonyFile)).digest('hex');
  const about = { kind: 'ceremony', subject, documentSha256 } as const;
  const order = newOrder({ keyStore: 'store', about, reason: 'a test' }, 60_000);
  const signed = signers.reduce((one, { name, privateKey }) => signOrder(one, name, privateKey), order);
  const file = join(directory, `${signed.order.id}.json`);
  writeOrderFile(file, signed, 'wx');
  return file;
}

t.test('without an order nothing is done', async (t) => {
  const deliver = ['deliver', '--token', 'b', '--folder', directory];
  for (const step of [['create'], ['add-token', '--token', 'b'], deliver, ['go-live', '--rehearsal']]) {
    t.match(await run(...step), { code: 25, stderr: /ORDER_MISSING/ }, step.join(' '));
  }
  t.match(await run(), { code: 21, stderr: /take the steps one by one/ });
  t.equal(readCeremonyFile(ceremonyFile).live, undefined);
});

t.test('an order of too few, or for another step, is refused', async (t) => {
  const few = ordered('go-live', operators.slice(1));
  t.match(await run('go-live', '--rehearsal', '--order', few), { code: 25, stderr: /1 of the 2 operators/ });
  const other = ordered('add-token b', operators);
  t.match(await run('go-live', '--rehearsal', '--order', other), { code: 25, stderr: /ORDER_REFUSED/ });
  t.equal(readCeremonyFile(ceremonyFile).live, undefined);
});

t.test('with the order of both the step is taken, once', async (t) => {
  const order = ordered('go-live', operators);
  t.match(await run('go-live', '--rehearsal', '--order', order), { code: 0 });
  const { live, steps } = readCeremonyFile(ceremonyFile);
  t.match(live, { rehearsal: true });
  const id = JSON.parse(readFileSync(order, 'utf8')).order.id;
  t.match(
    steps.at(-1)?.record[0],
    new RegExp(`^order ${id} \\(ceremony of go-live, .*\\), signed by ada, grace; SHA-256 `),
  );
  t.match(
    await run('go-live', '--rehearsal', '--order', order),
    { code: 25, stderr: /ORDER_REFUSED/ },
    'the file is another one now',
  );
});
