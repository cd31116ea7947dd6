import { createPrivateKey, createPublicKey } from 'node:crypto';
import { createRequire } from 'node:module';
import pg from 'pg';
import t from 'tap';
import { connectionOptions } from '../src/shared/database/pool.ts';
import { openSystem } from './support/system.ts';

/** The native one: there are thousands of candidates. */
const secp256k1 = createRequire(import.meta.url)('secp256k1/bindings.js') as typeof import('secp256k1');

/**
 * Whatever stands in the databases is tried as a private key: every 32 bytes in a row of every value, as they are and as
 * hex or base64 writes them. One that belongs to a public key of ours would be a key outside the HSM.
 */
const system = await openSystem(t);
const ecdsa = await system.sdk.keys.createKey({ body: { scheme: 'ECDSA', curve: 'secp256k1' } });
const eddsa = await system.sdk.keys.createKey({ body: { scheme: 'EdDSA', curve: 'ed25519' } });
for (const keyId of [ecdsa.id, eddsa.id]) {
  await system.sdk.keys.generateSignature({ keyId, body: { kind: 'Hash', hash: '11'.repeat(32) } });
}

const ed25519Prefix = Buffer.from('302e020100300506032b657004220420', 'hex');

function publicKeysOf(candidate: Buffer): string[] {
  const spki = createPublicKey(
    createPrivateKey({ key: Buffer.concat([ed25519Prefix, candidate]), format: 'der', type: 'pkcs8' }),
  ).export({ format: 'der', type: 'spki' });
  const found = [spki.subarray(-32).toString('hex')];
  if (secp256k1.privateKeyVerify(candidate)) {
    found.push(Buffer.from(secp256k1.publicKeyCreate(candidate, true)).toString('hex'));
  }
  return found;
}

function readings(value: unknown): Buffer[] {
  if (Buffer.isBuffer(value)) return [value];
  if (Array.isArray(value)) return value.flatMap(readings);
  const text = typeof value === 'string' ? value : JSON.stringify(value ?? '');
  const hex = /^[0-9a-f]{64,}$/i.test(text) ? [Buffer.from(text, 'hex')] : [];
  const base64 = /^[A-Za-z0-9_+/=-]{43,}$/.test(text) ? [Buffer.from(text, 'base64')] : [];
  return [...hex, ...base64];
}

function windows(bytes: Buffer): Buffer[] {
  return Array.from({ length: Math.max(0, bytes.length - 31) }, (_, at) => bytes.subarray(at, at + 32));
}

async function valuesIn(database: typeof system.databases.api): Promise<Buffer[]> {
  const client = new pg.Client(
    connectionOptions(database, { applicationName: 'test', durability: 'durable', role: 'owner' }),
  );
  await client.connect();
  try {
    const { rows: tables } = await client.query<{ name: string }>(
      "select quote_ident(tablename) as name from pg_tables where schemaname = 'public'",
    );
    const values: Buffer[] = [];
    for (const { name } of tables) {
      const { rows } = await client.query<Record<string, unknown>>(`select * from ${name}`);
      for (const row of rows) for (const value of Object.values(row)) values.push(...readings(value));
    }
    return values;
  } finally {
    await client.end();
  }
}

t.test('no 32 bytes in either database are the private key of a key that was made', async (t) => {
  const ours = new Set([ecdsa.publicKey, eddsa.publicKey]);
  const values = [...(await valuesIn(system.databases.driver)), ...(await valuesIn(system.databases.api))];
  const candidates = new Map(values.flatMap(windows).map((bytes) => [bytes.toString('hex'), bytes]));
  t.ok(candidates.size > 100, `${candidates.size} candidates in ${values.length} values`);
  t.equal(
    [...candidates.values()].filter((candidate) => publicKeysOf(candidate).some((key) => ours.has(key))).length,
    0,
  );
});

t.test('the search finds a private key where there is one', async (t) => {
  const secret = Buffer.alloc(32, 7);
  const publicKey = Buffer.from(secp256k1.publicKeyCreate(secret, true)).toString('hex');
  const hidden = Buffer.concat([Buffer.alloc(5), secret, Buffer.alloc(9)]);
  t.ok(windows(hidden).some((candidate) => publicKeysOf(candidate).includes(publicKey)));
  t.ok(
    readings(hidden.toString('base64'))
      .flatMap(windows)
      .some((one) => publicKeysOf(one).includes(publicKey)),
  );
});

t.test('what the driver keeps of a key is a blob that is longer than the key and opens nowhere else', async (t) => {
  const client = new pg.Client(
    connectionOptions(system.databases.driver, { applicationName: 'test', durability: 'durable' }),
  );
  await client.connect();
  t.teardown(() => client.end());
  const { rows } = await client.query<{ wrap_algorithm: string; bytes: number; master_key_id: string }>(
    'select wrap_algorithm, length(blob) as bytes, master_key_id from wrapped_key',
  );
  t.equal(rows.length, 2);
  for (const row of rows) t.match(row, { wrap_algorithm: 'RFC5649', master_key_id: /^mk-/ });
  t.ok(rows.every((row) => row.bytes >= 56));
});
