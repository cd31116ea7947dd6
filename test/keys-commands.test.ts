import { execFile } from 'node:child_process';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import pg from 'pg';
import t from 'tap';
import { onItsOwn } from '../scripts/local/processes.ts';
import { connectionOptions } from '../src/shared/database/pool.ts';
import { catalogueEntry } from '../src/shared/errors.ts';
import { exitCodes } from '../src/shared/exit-codes.ts';
import { forgetSchedules } from './support/maintenance-node.ts';
import { openSystem } from './support/system.ts';

/** `hsm-driver keys list` and `keys show` beside a running system. */
t.setTimeout(300_000);
const cli = resolve(import.meta.dirname, '../src/cli/main.ts');
const maintenance = { pollSeconds: 0.5 };
const system = await openSystem(t, {
  node: (configuration) => ({ ...configuration, maintenance }),
  // An audit that is due meanwhile would find the row that is changed here, and mark it.
  migrated: ({ driver }) => forgetSchedules(driver),
});
const config = join(system.places.node(1), 'config.yaml');

async function keys(...words: readonly string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  const [command = '', ...options] = words;
  const [program = '', ...args] = onItsOwn([process.execPath, cli, 'keys', command, '--config', config, ...options]);
  try {
    return { code: 0, ...(await promisify(execFile)(program, args)) };
  } catch (error) {
    return error as { code: number; stdout: string; stderr: string };
  }
}

async function asOwner(statement: string, values: readonly unknown[]): Promise<void> {
  const options = { applicationName: 'test owner', durability: 'durable', role: 'owner' } as const;
  const owner = new pg.Client(connectionOptions(system.databases.driver, options));
  await owner.connect();
  await owner.query(statement, [...values]);
  await owner.end();
}

const made = [
  await system.sdk.keys.createKey({ body: { scheme: 'ECDSA', curve: 'secp256k1' } }),
  await system.sdk.keys.createKey({ body: { scheme: 'EdDSA', curve: 'ed25519' } }),
].toSorted((a, b) => (a.id < b.id ? -1 : 1));
const [first, second] = made as [(typeof made)[0], (typeof made)[0]];

t.test('keys are listed page by page, and by what they are', async (t) => {
  const { stdout } = await keys('list', '--json');
  t.same(
    (JSON.parse(stdout) as { keyId: string }[]).map(({ keyId }) => keyId),
    made.map(({ id }) => id),
  );
  const page = await keys('list', '--limit', '1');
  t.match(page.stdout, first.id);
  t.match(page.stdout, `add --after ${first.id}`);
  t.match((await keys('list', '--after', first.id)).stdout, second.id);
  t.notMatch((await keys('list', '--after', first.id)).stdout, new RegExp(`^${first.id} `, 'm'));
  t.equal((await keys('list', '--status', 'broken')).stdout, 'No such key.\n');
  t.match(await keys('list', '--limit', 'many'), { code: exitCodes.USAGE.code, stderr: /OPTION_INVALID.*--limit/ });
});

t.test('a key is shown with its attestation and how often it signed', async (t) => {
  const ecdsa = made.find(({ curve }) => curve === 'secp256k1') ?? first;
  await system.sdk.keys.generateSignature({ keyId: ecdsa.id, body: { kind: 'Hash', hash: '00'.repeat(32) } });
  const { code, stdout } = await keys('show', '--key', ecdsa.id, '--json');
  t.equal(code, 0);
  t.match(JSON.parse(stdout), { keyId: ecdsa.id, publicKey: ecdsa.publicKey, attested: true, use: { signatures: 1 } });
  t.notMatch(stdout, /blob/, 'the wrapped key itself is not printed');
  t.match((await keys('show', '--key', ecdsa.id)).stdout, /attestation +holds/);
});

t.test('a key that is not there, and one whose public key nobody attests', async (t) => {
  const code = (error: 'KEY_NOT_IN_STORE' | 'KEY_UNUSABLE'): number =>
    exitCodes[catalogueEntry(error).exit ?? 'INTERNAL'].code;
  t.match(await keys('show', '--key', 'key-none'), { code: code('KEY_NOT_IN_STORE'), stderr: /KEY_NOT_IN_STORE/ });
  await asOwner(`update wrapped_key set attestation = decode(repeat('00', 64), 'hex') where key_id = $1`, [second.id]);
  t.match(await keys('show', '--key', second.id), {
    code: code('KEY_UNUSABLE'),
    stdout: /DOES NOT HOLD/,
    stderr: /no HSM of this key store attests/,
  });
});

t.test('a slot opens the keys that are named, and says which of them fails', async (t) => {
  const good = await keys('verify', '--key', first.id);
  t.equal(good.code, 0, good.stderr);
  t.match(good.stdout, new RegExp(`^${first.id} +holds$`, 'm'));
  // Whoever writes in the database without the HSM: the row's tag does not hold any more.
  await asOwner('update wrapped_key set blob = set_byte(blob, 0, get_byte(blob, 0) # 1) where key_id = $1', [
    second.id,
  ]);
  const { code, stdout, stderr } = await keys('verify', '--key', `${first.id},${second.id},key-none`, '--json');
  t.equal(code, exitCodes[catalogueEntry('KEY_UNUSABLE').exit ?? 'INTERNAL'].code);
  t.match(JSON.parse(stdout), [
    { keyId: first.id, verdict: 'holds' },
    { keyId: second.id, verdict: 'tag' },
    { keyId: 'key-none', verdict: 'missing' },
  ]);
  t.match(stderr, `${second.id} (tag)`);
  t.match(await keys('verify', '--key', ''), { code: exitCodes.USAGE.code, stderr: /--key is one key id/ });
});
