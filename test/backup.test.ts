import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type pg from 'pg';
import t from 'tap';
import { stringify } from 'yaml';
import { checkBackup } from '../src/backup/check-backup.ts';
import { restoreRows } from '../src/backup/restore-backup.ts';
import type { DatabaseConfiguration, SlotConfiguration } from '../src/shared/configuration/sections.ts';
import { createPool } from '../src/shared/database/pool.ts';
import { inTransaction } from '../src/shared/database/transaction.ts';
import { createLog } from '../src/shared/log.ts';
import { createWorkerChain } from '../src/worker/audit/worker-chain.ts';
import { createDriverDatabase } from '../src/worker/database.ts';
import { createJournal, payloadDigest } from '../src/worker/journal.ts';
import { createKeyStore as openKeyStore } from '../src/worker/key-store.ts';
import { chainFaults, readChain } from './support/audit-chain.ts';
import { openTestDatabases } from './support/database.ts';
import { hsmDriver } from './support/node-commands.ts';
import { generateJob, open, value } from './support/open-hsm.ts';
import { makeOperators } from './support/operators.ts';
import { createKeyStore, temporaryDirectory } from './support/soft-token.ts';

/** A driver database with keys of a real token and signatures, its backup, and an empty database on another server. */
const log = createLog('error', {});
const store = await createKeyStore(t);
const [source, target] = await Promise.all([openTestDatabases(t), openTestDatabases(t)]);
const directory = temporaryDirectory(t);
const [used, spare] = store.slots;
const pool = (database: DatabaseConfiguration, role?: 'owner'): pg.Pool => {
  const options = { applicationName: 'test', max: 2, durability: 'durable', ...(role && { role }) } as const;
  const made = createPool(database, options, log);
  t.teardown(() => made.end());
  return made;
};
const from = pool(source.driver);
const into = pool(target.driver, 'owner');
const instance = randomUUID();
await makeRows();

async function makeRows(): Promise<void> {
  const database = createDriverDatabase(from, source.driver, log);
  const hsm = await open(store, used);
  const made = await hsm.generateKeys([
    ...Array.from({ length: 6 }, () => generateJob('secp256k1')),
    generateJob('ed25519'),
    generateJob('P-256'),
  ]);
  const audit = createWorkerChain(database, instance, { keyStore: store.keyStore }, { version: 'test' });
  const count = (): void => {};
  const keys = openKeyStore({ database, audit, checkTags: (rows) => hsm.checkTags(rows), count, log });
  await keys.add(made.map(value));
  const { key } = value(made[0]);
  const digest = randomBytes(32);
  const requestId = 'sig-one';
  const [answers] = await hsm.sign([{ key, requests: [{ requestId, digests: [digest] }] }]);
  const journal = createJournal(database, audit, { slot: 'a', instance }, count);
  const entry = {
    requestId,
    keyId: key.keyId,
    masterKeyId: key.masterKeyId,
    payloadDigest: payloadDigest(key.keyId, [digest]),
    signatures: value(answers?.[0]),
  };
  await journal.add([entry]);
  await journal.discard([entry], 'did not verify');
  await hsm.stop();
}

function configuration(
  name: string,
  database: DatabaseConfiguration,
  slot: SlotConfiguration,
  more: object = {},
): string {
  const file = join(directory, `${name}.yaml`);
  writeFileSync(
    file,
    stringify({
      kind: 'driver',
      node: name,
      keyStore: store.keyStore,
      api: { addresses: ['https://127.0.0.1:9'], caFile: 'ca.pem', certificateFile: 'c.pem', privateKeyFile: 'k.pem' },
      database,
      ceremonyFile: store.ceremonyFile,
      stateDirectory: join(directory, `state-${name}`),
      slots: [slot],
      log: { level: 'error' },
      ...more,
    }),
  );
  return file;
}
const { owner: _, ...withoutOwner } = source.driver;
const sourceConfig = configuration('node-1', withoutOwner, used);
const spareConfig = configuration('spare', target.driver, spare);
const file = join(directory, 'backup.jsonl');
const restore = (...more: string[]) => hsmDriver('restore', '--config', spareConfig, '--backup', file, ...more);

/** A file that says of itself that it is whole: its last line fits, as whoever changes a backup can make it fit. */
function forge(name: string, lines: readonly string[]): string {
  const text = `${lines.join('\n')}\n`;
  const forged = join(directory, name);
  writeFileSync(forged, `${text}{"sha256":"${createHash('sha256').update(text).digest('hex')}"}\n`);
  return forged;
}
/** The backup without its last line. */
const goodLines = (): string[] => readFileSync(file, 'utf8').split('\n').slice(0, -2);
const backupId = (): string => JSON.parse(goodLines()[0] ?? '').backup;
const sha256Of = (name: string): string => createHash('sha256').update(readFileSync(name)).digest('hex');

/** Every key given to somebody else; as many rows as before. */
const stolenLines = (): string[] =>
  goodLines().map((line) => (line.startsWith('{"key_id"') ? line.replace('"or-test"', '"or-thief"') : line));

/** Everything a table holds, in an order of its own. */
async function content(database: pg.Pool, table: string): Promise<string[]> {
  const { rows } = await database.query<{ row: string }>(`select row_to_json(t)::text as row from ${table} t`);
  return rows.map(({ row }) => row).toSorted();
}
async function rowsIn(database: pg.Pool): Promise<number> {
  const counts = await Promise.all(
    ['wrapped_key', 'journal', 'audit_entry', 'discarded_signature', 'used_order'].map((table) =>
      content(database, table),
    ),
  );
  return counts.flat().length;
}

t.test('a backup says what is in it, and is told of in the audit log', async (t) => {
  const { code, stdout, stderr } = await hsmDriver('backup', '--config', sourceConfig, '--out', file, '--json');
  t.equal(code, 0, stderr);
  const manifest = JSON.parse(stdout);
  const ceremony = createHash('sha256').update(readFileSync(store.ceremonyFile)).digest('hex');
  t.match(manifest, {
    keyStore: 'store',
    masterKeys: [{ id: store.ceremony.masterKey.id, keys: 8 }],
    ceremonyFiles: [{ masterKeyId: store.ceremony.masterKey.id, sha256: ceremony }],
    heads: [{ chain: instance }],
    checksum: /^[0-9a-f]{64}$/,
  });
  t.match(
    manifest.tables.find((table: { name: string }) => table.name === 'wrapped_key'),
    { rows: 8 },
  );
  t.match(stderr, /rows: \d+ of \d+ \(100 %\)/, 'lines, since there is no terminal');
  const told = (await content(from, 'audit_entry')).find((row) => row.includes('backup-made'));
  t.ok(told?.includes(manifest.backup) && told.includes(manifest.checksum));
  const text = readFileSync(file, 'utf8');
  t.notOk(/PRIVATE KEY|passwordFile|pinFile/.test(text));
  t.equal((await hsmDriver('backup', '--config', sourceConfig, '--out', file)).code, 2, 'never over another file');
});

t.test('a backup that was cut short or altered is refused, and nothing is changed', async (t) => {
  const good = readFileSync(file);
  const bad = join(directory, 'bad.jsonl');
  const attempts: [string, Buffer, RegExp][] = [
    ['cut in a line', good.subarray(0, good.length >> 1), /cut short/],
    ['cut behind a line', good.subarray(0, good.lastIndexOf('\n{"sha256"') + 1), /its last line is not the checksum/],
    ['empty', Buffer.alloc(0), /it does not begin|empty/],
    [
      'one bit',
      Buffer.from(good).fill((good[5_000] ?? 0) ^ 1, 5_000, 5_001),
      /changed after it was made|BACKUP_ALTERED/,
    ],
    ['not a backup', Buffer.from('hello\nworld\n'), /does not begin with the manifest/],
  ];
  for (const [name, bytes, problem] of attempts) {
    writeFileSync(bad, bytes);
    const { code, stderr } = await hsmDriver('restore', '--config', spareConfig, '--backup', bad);
    t.equal(code, 31, name);
    t.match(stderr, /BACKUP_ALTERED/, name);
    t.match(stderr, problem, name);
  }
  t.equal(await rowsIn(into), 0);
});

t.test('a row that was taken out, with a checksum that fits, contradicts the manifest', async (t) => {
  const lines = goodLines();
  const at = lines.findIndex((line) => line.startsWith('{"key_id"'));
  const bad = forge('fewer.jsonl', lines.toSpliced(at, 1));
  const { code, stderr } = await hsmDriver('restore', '--config', spareConfig, '--backup', bad);
  t.equal(code, 31);
  t.match(stderr, /it has 7 rows of wrapped_key, its manifest says 8/);
  t.equal(await rowsIn(into), 0);
});

t.test('a backup of another key store, and one of a newer program, are refused, and nothing is changed', async (t) => {
  const [manifest = '', ...lines] = goodLines();
  for (const [change, problem] of [
    [{ keyStore: 'another' }, /the backup is of key store another, the configuration of store/],
    [{ schemaVersion: 1_000 }, /the backup has schema version 1000, this program’s is \d+/],
  ] as const) {
    const bad = forge('foreign.jsonl', [JSON.stringify({ ...JSON.parse(manifest), ...change }), ...lines]);
    const { code, stderr } = await hsmDriver('restore', '--config', spareConfig, '--backup', bad);
    t.equal(code, 31, stderr);
    t.match(stderr, problem);
  }
  t.equal(await rowsIn(into), 0);
});

t.test('a table that the manifest does not list, and one that comes twice, are refused', async (t) => {
  const lines = goodLines();
  const columns = ['request_id', 'payload_digest', 'reason', 'slot', 'instance'];
  const row = { request_id: 'x', payload_digest: '\\x00', reason: 'x', slot: 'a', instance };
  const header = (table: string) => JSON.stringify({ table, columns });
  const [manifest = '', ...rest] = lines;
  const unlisted = JSON.parse(manifest);
  unlisted.tables = unlisted.tables.filter(({ name }: { name: string }) => name !== 'discarded_signature');
  for (const [name, forgedLines, problem] of [
    ['extra', [...lines, header('operator_list')], /its manifest lists no table operator_list/],
    ['unlisted', [JSON.stringify(unlisted), ...rest], /its manifest lists no table discarded_signature/],
    ['doubled', [...lines, header('discarded_signature'), JSON.stringify(row)], /discarded_signature comes twice/],
  ] as const) {
    const bad = forge(`${name}.jsonl`, forgedLines);
    const { code, stderr } = await hsmDriver('restore', '--config', spareConfig, '--backup', bad);
    t.equal(code, 31, name);
    t.match(stderr, /BACKUP_ALTERED/, name);
    t.match(stderr, problem, name);
  }
  t.equal(await rowsIn(into), 0);
});

t.test(
  'a file that is exchanged between its check and its restore is found out, and nothing is restored',
  async (t) => {
    const exchanged = join(directory, 'exchanged.jsonl');
    writeFileSync(exchanged, readFileSync(file));
    const checked = await checkBackup(exchanged, () => {});
    t.equal(checked.fileSha256, sha256Of(file), 'as sha256sum prints it');
    forge('exchanged.jsonl', stolenLines());
    await t.rejects(
      inTransaction(into, (client) => restoreRows(client, exchanged, checked, () => {})),
      { code: 'BACKUP_ALTERED', detail: /was changed while it was read/ },
    );
    t.equal(await rowsIn(into), 0);
  },
);

t.test('where operators are configured, a restore needs their order for exactly this file', async (t) => {
  const operators = makeOperators(directory, ['alice', 'bob'], 2);
  const config = configuration('ordered', target.driver, spare, { operators: operators.configuration });
  const ordered = (backup: string, ...more: string[]) =>
    hsmDriver('restore', '--config', config, '--backup', backup, ...more);
  const missing = await ordered(file);
  t.equal(missing.code, 25);
  t.match(missing.stderr, `ORDER_MISSING: `);
  t.match(missing.stderr, `restore of ${backupId()}, document ${sha256Of(file)}`);

  const about = { kind: 'restore', subject: backupId() } as const;
  const order = operators.orderFile('store', { ...about, documentSha256: sha256Of(file) });
  const unbound = operators.orderFile('store', about);
  const changed = forge('of-the-order.jsonl', stolenLines());
  for (const [backup, by, why] of [
    [changed, unbound, 'rows were changed, the id was kept, the order names no file'],
    [changed, order, 'rows were changed, the id was kept, the order names the file as it was made'],
    [file, unbound, 'the order names no file'],
  ] as const) {
    const { code, stderr } = await ordered(backup, '--order', by);
    t.equal(code, 25, why);
    t.match(stderr, /ORDER_REFUSED: /, why);
  }
  t.equal(await rowsIn(into), 0);
});

t.test('an order that was made as the backup says restores it, once', async (t) => {
  const operators = makeOperators(temporaryDirectory(t), ['alice', 'bob'], 2);
  const another = await openTestDatabases(t);
  const config = configuration('by-order', another.driver, spare, { operators: operators.configuration });
  const fresh = join(directory, 'fresh.jsonl');
  const made = await hsmDriver('backup', '--config', sourceConfig, '--out', fresh);
  t.match(made.stdout, `SHA-256 of the file ${sha256Of(fresh)}`);
  const said = /^ +hsm-driver (order new .*)$/m.exec(made.stdout)?.[1]?.split(' ') ?? [];
  const order = join(directory, 'order.json');
  const written = await hsmDriver(...said.map((word) => (word === 'order.json' ? order : word)));
  t.equal(written.code, 0, written.stderr);
  t.match(written.stdout, `document   sha256 ${sha256Of(fresh)}`);
  for (const name of ['alice', 'bob']) {
    const by = ['--operator', name, '--private-key', operators.privateKeyFile(name), '--yes'];
    t.equal((await hsmDriver('order', 'sign', '--order', order, ...by)).code, 0);
  }
  const restored = await hsmDriver('restore', '--config', config, '--backup', fresh, '--order', order);
  t.equal(restored.code, 0, restored.stderr);
  const rows = pool(another.driver, 'owner');
  t.strictSame(await content(rows, 'wrapped_key'), await content(from, 'wrapped_key'));
  const { rows: used } = await rows.query('select kind, subject from used_order');
  t.match(used, [{ kind: 'restore' }]);
});

t.test('a drill restores everything and proves the keys on a spare HSM', async (t) => {
  const { code, stdout, stderr } = await restore('--drill', '--json', '--sample', '3');
  t.equal(code, 0, stderr);
  const report = JSON.parse(stdout);
  t.match(report, { keys: 8, drill: { keys: 8, failed: [], masterKeyIds: [store.ceremony.masterKey.id] } });
  t.ok(report.drill.proven >= 3, 'one of each curve at least');
  for (const time of ['checkMs', 'restoreMs', 'totalMs']) t.ok(report[time] > 0, time);
  for (const table of ['wrapped_key', 'journal', 'discarded_signature'])
    t.strictSame(await content(into, table), await content(from, table), table);
  const chain = await readChain(into, instance);
  t.strictSame(chain, await readChain(from, instance));
  t.strictSame(chainFaults(chain), []);
  const told = (await content(into, 'audit_entry')).filter((row) => row.includes('\\"kind\\":\\"restored\\"'));
  t.equal(told.length, 1);
  await into.query(
    `insert into discarded_signature (request_id, payload_digest, reason, slot, instance)
     values ('next', '\\x00', 'test', 'a', $1)`,
    [instance],
  );
});

t.test('a database that is not empty is refused, and stays as it is', async (t) => {
  const before = await rowsIn(into);
  const { code, stderr } = await restore();
  t.equal(code, 31);
  t.match(stderr, /RESTORE_REFUSED: .*the database is not empty: table \w+ has rows/);
  t.equal(await rowsIn(into), before);
});

t.test('a drill fails when a restored key does not work', async (t) => {
  const third = await openTestDatabases(t);
  const config = configuration('third', third.driver, spare);
  const bad = forge('changed.jsonl', stolenLines());
  const { code, stdout, stderr } = await hsmDriver('restore', '--config', config, '--backup', bad, '--drill');
  t.equal(code, 31);
  t.match(stderr, /DRILL_FAILED: .*0 keys proven, 8 not/);
  t.match(stdout, /key key-[^ ]+ failed: tag: the row was changed/);
});
