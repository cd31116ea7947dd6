import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { anchorsHeader, readAnchors } from '../src/audit/anchors-file.ts';
import { exportAuditLog } from '../src/audit/export-log.ts';
import { type AuditVerdict, verifyExport } from '../src/audit/verify-export.ts';
import { openAuditLog } from '../src/shared/audit/open-log.ts';
import type { SignedHead } from '../src/shared/audit/signed-head.ts';
import { createPool } from '../src/shared/database/pool.ts';
import { createLog } from '../src/shared/log.ts';
import { makeCertificates } from './support/certificates.ts';
import { runCommand } from './support/command.ts';
import { openTestDatabases } from './support/database.ts';
import { runJob, workersDesk } from './support/maintenance-node.ts';
import { openScriptedApi } from './support/scripted-api.ts';
import { makeKey, signOffer, startSlotWorker } from './support/slot-worker.ts';
import { createKeyStore, temporaryDirectory } from './support/soft-token.ts';
import { until } from './support/until.ts';

/** Two chains as they come about: of a worker that made keys and signatures, and of a command that it anchored. */
const databases = await openTestDatabases(t);
const certificates = await makeCertificates(t);
const api = await openScriptedApi(t, certificates);
const worker = await startSlotWorker(t, { api, certificates, database: databases.driver });
const directory = temporaryDirectory(t);
const whole = join(directory, 'whole.jsonl');

const command = openAuditLog(worker.pool, { program: 'command', command: 'pin clear', keyStore: 'test' });
await command.append(
  { kind: 'pin-cleared', guardGroup: 'serial', node: 'node-1', slot: 'a' },
  { kind: 'pin-cleared', guardGroup: 'serial', node: 'node-1', slot: 'b' },
);
const key = await makeKey(api);
for (let made = 0; made < 5; made += 1) {
  const offer = signOffer(key.id);
  api.offer(offer);
  await api.outcome(offer.id);
}
await until('a signed head', () => api.auditHeads.length > 0);
const anchoring = await runJob(t, databases.driver, 'audit-anchoring', workersDesk({ worker }));
await worker.stop();
const pool = createPool(
  databases.driver,
  { applicationName: 'test', max: 1, durability: 'durable' },
  createLog('error', {}),
);
t.teardown(() => pool.end());
const exported = await exportAuditLog(pool, 'test', whole, () => {});

const pinned = { keyStore: 'test', attestationKey: worker.hsm.attestationKey };
const original = readFileSync(whole);
const heads = api.auditHeads.filter(({ chain }) => chain === worker.instance);
const lastHead = heads.at(-1) as SignedHead;

/** Lines of the export without its footer, changed, and sealed with a footer that fits. */
function altered(name: string, change: (lines: string[]) => readonly string[]): string {
  const lines = original.toString('utf8').split('\n').slice(0, -2);
  const text = `${change(lines).join('\n')}\n`;
  const file = join(directory, `${name}.jsonl`);
  writeFileSync(file, `${text}{"sha256":"${createHash('sha256').update(text).digest('hex')}"}\n`);
  return file;
}

/** Where the entries of the worker's chain begin. */
const start = original.toString('utf8').split('\n').indexOf(`{"chain":"${worker.instance}"}`) + 1;

/** The line of the first signature, and the number of that entry: heads may have been signed before it. */
const signedAt = original
  .toString('utf8')
  .split('\n')
  .findIndex((line, at) => at >= start && line.includes('"kind":"signed"'));
const signedNumber = signedAt - start + 1;

/** A chain sealed anew behind entry `from`, as somebody would who knows the rule but has no HSM. */
function resealed(lines: readonly string[], from: number): string[] {
  const copy = [...lines];
  for (let at = start + from; copy[at]?.startsWith('{"sequence"'); at += 1) {
    const previous = createHash('sha256')
      .update(copy[at - 1] ?? '')
      .digest('base64url');
    copy[at] = (copy[at] ?? '').replace(/"previous":"[^"]+"/, `"previous":"${previous}"`);
  }
  return copy;
}

function finds(t: Test, verdict: AuditVerdict, ...problems: readonly RegExp[]): void {
  t.equal(verdict.sound, false);
  for (const problem of problems)
    t.ok(
      verdict.problems.some((text) => problem.test(text)),
      `${problem} in ${JSON.stringify(verdict.problems)}`,
    );
}

t.test('an export that nobody touched holds, and says what speaks for it', async (t) => {
  t.match(anchoring, { facts: { anchored: 1 } });
  t.strictSame(anchoring.alarms, []);
  const verdict = await verifyExport(whole, pinned, { anchors: heads, problems: [] });
  t.strictSame(verdict.problems, []);
  t.match(verdict, { sound: true, anchors: heads.length });
  t.ok(verdict.signedHeads >= 2);
  t.match(verdict, { entries: exported.entries, chains: 2 });
  t.equal(verdict.unproven, 0, 'each entry is covered by a head');
});

t.test('one flipped bit is found, wherever it is', async (t) => {
  const file = join(directory, 'flipped.jsonl');
  const footerAt = original.length - 80;
  const places = Array.from({ length: 220 }, (_, at) => Math.floor((at * footerAt) / 220)).concat(
    Array.from({ length: 80 }, (_, at) => footerAt + at),
  );
  const unseen: number[] = [];
  for (const [at, place] of places.entries()) {
    const bytes = Buffer.from(original);
    bytes[place] = (bytes[place] ?? 0) ^ (1 << (at % 8));
    writeFileSync(file, bytes);
    if ((await verifyExport(file, pinned)).sound) unseen.push(place);
  }
  t.strictSame(unseen, []);
});

t.test('a file that was cut short is found', async (t) => {
  const file = join(directory, 'cut.jsonl');
  for (const length of [0, 1, 100, original.length - 90, original.length - 1]) {
    writeFileSync(file, original.subarray(0, length));
    finds(
      t,
      await verifyExport(file, pinned),
      /^the file: it (is empty|ends in the middle|was changed|s last line)|its last line/,
    );
  }
});

t.test(
  'a changed, removed, moved and inserted entry are found and named, although the file’s checksum fits',
  async (t) => {
    const [at, number] = [signedAt, signedNumber];
    const next = number + 1;
    const changed = altered('changed', (lines) => lines.with(at, (lines[at] ?? '').replace('sig-', 'sig-x')));
    finds(
      t,
      await verifyExport(changed, pinned),
      new RegExp(`entry ${number} was changed after entry ${next} was sealed behind it`),
    );
    const removed = altered('removed', (lines) => lines.toSpliced(at, 1));
    finds(t, await verifyExport(removed, pinned), new RegExp(`entry ${number} is missing`));
    const moved = altered('moved', (lines) => lines.with(at, lines[at + 1] ?? '').with(at + 1, lines[at] ?? ''));
    finds(
      t,
      await verifyExport(moved, pinned),
      new RegExp(`entry ${number} is missing`),
      new RegExp(`entry ${number} stands behind entry ${next}`),
    );
    const inserted = altered('inserted', (lines) => lines.toSpliced(at + 1, 0, lines[at] ?? ''));
    finds(
      t,
      await verifyExport(inserted, pinned),
      new RegExp(`entry ${number} stands behind entry ${number}: put in, or moved`),
    );
    const beheaded = altered('beheaded', (lines) => lines.toSpliced(start, 1));
    finds(t, await verifyExport(beheaded, pinned), /entry 1 is missing/);
    const renamed = altered('renamed', (lines) => lines.with(start - 1, `{"chain":"${crypto.randomUUID()}"}`));
    finds(t, await verifyExport(renamed, pinned), /its first entry is of chain/);
  },
);

t.test('a chain that was sealed anew contradicts the heads that the HSM signed', async (t) => {
  const file = altered('resealed', (lines) =>
    resealed(lines.with(signedAt, (lines[signedAt] ?? '').replace('sig-', 'sig-x')), signedNumber),
  );
  const verdict = await verifyExport(file, pinned);
  finds(t, verdict, /is not the one whose head was signed in entry \d+: the chain was rewritten/);
  t.notOk(
    verdict.problems.some((text) => /was changed after/.test(text)),
    'its neighbours fit again',
  );
  finds(t, await verifyExport(file, pinned, { anchors: heads, problems: [] }), /another one than an anchor tells of/);
});

t.test('a missing end is found by heads that were kept elsewhere', async (t) => {
  const lines = original.toString('utf8').split('\n');
  const end = lines.findIndex((line, at) => at > start && !line.startsWith('{"sequence"'));
  const cut = altered('no-end', (all) => all.toSpliced(start + 4, end - start - 4));
  t.equal((await verifyExport(cut, pinned)).sound, true, 'the chain alone cannot tell');
  finds(
    t,
    await verifyExport(cut, pinned, { anchors: heads, problems: [] }),
    new RegExp(
      `the end of chain ${worker.instance} is missing: an anchor tells of entry ${lastHead.sequence}, entries 5 to`,
    ),
  );
  const gone = altered('no-chain', (all) => all.toSpliced(start - 1, end - start + 1));
  finds(
    t,
    await verifyExport(gone, pinned, { anchors: heads, problems: [] }),
    new RegExp(`chain ${worker.instance} is missing`),
  );
});

t.test('the chain of a command is anchored in the chain of a worker', async (t) => {
  const lines = original.toString('utf8').split('\n');
  const at = lines.indexOf(`{"chain":"${command.id}"}`) + 1;
  const cut = altered('command-cut', (all) => all.toSpliced(at + 2, 1));
  finds(
    t,
    await verifyExport(cut, pinned),
    new RegExp(`the end of chain ${command.id} is missing: entry \\d+ of chain`),
  );
  const gone = altered('command-gone', (all) => all.toSpliced(at - 1, 4));
  finds(t, await verifyExport(gone, pinned), new RegExp(`chain ${command.id} is missing: entry`));
});

t.test('anchors are believed only with the signature of the attestation key', async (t) => {
  const forged = { ...lastHead, sequence: lastHead.sequence + 100 };
  finds(
    t,
    await verifyExport(whole, pinned, { anchors: [forged], problems: [] }),
    /is not signed by the attestation key/,
  );
  const other = await verifyExport(whole, pinned, { anchors: [{ ...forged, keyStore: 'other' }], problems: [] });
  t.match(other, { sound: true, anchors: 0 });
});

t.test('anchors are read from a file of the API and from log lines as they were collected', async (t) => {
  const file = join(directory, 'anchors');
  const logs = worker.log.filter(({ msg }) => msg === 'audit head').map((line) => JSON.stringify(line));
  writeFileSync(file, `not a log line\n2026-11-27T03:00:00Z stdout F ${logs.at(-1)}\n{"msg":"other"}\n`);
  t.match(await readAnchors(file), { anchors: [lastHead], problems: [] });
  writeFileSync(file, '{"msg":"no head in here"}\n');
  t.strictSame((await readAnchors(file)).problems, ['there is no anchor in the file with the anchors']);
  writeFileSync(file, `${JSON.stringify({ ...lastHead, hash: 'short' })}\n`);
  t.match((await readAnchors(file)).problems, [/line 1 of the anchors cannot be read/]);
  writeFileSync(file, `${anchorsHeader}\n${JSON.stringify(lastHead)}\n`);
  t.match((await readAnchors(file)).problems, [/its last line is not the checksum/]);
});

t.test('as commands: export, anchors of the API, verify; each fault with its exit code', async (t) => {
  const store = await createKeyStore(t);
  const { x = '', y = '' } = worker.hsm.attestationKey.export({ format: 'jwk' });
  const publicKey = `04${[x, y].map((one) => Buffer.from(one, 'base64url').toString('hex')).join('')}`;
  const ceremony = join(directory, 'ceremony.json');
  const content = {
    ...store.ceremony,
    keyStore: 'test',
    attestationKey: { ...store.ceremony.attestationKey, publicKey },
  };
  writeFileSync(ceremony, JSON.stringify(content));
  const verify = (...options: string[]) => runCommand('audit', 'verify', '--ceremony', ceremony, ...options);

  const good = await verify('--export', whole, '--json');
  t.equal(good.code, 0, good.errors);
  t.match(JSON.parse(good.out), { sound: true });
  const text = await verify('--export', whole);
  t.match(text.out, /no heads that were kept elsewhere were given(.|\n)*The log holds\./);
  const bad = await verify(
    '--export',
    altered('as-command', (lines) => lines.toSpliced(start + 2, 1)),
  );
  t.equal(bad.code, 30);
  t.match(bad.out, /The log does not hold:(.|\n)*entry 3 is missing/);
  t.match(bad.errors, /AUDIT_LOG_ALTERED/);
  const flipped = join(directory, 'one-bit.jsonl');
  const bytes = Buffer.from(original);
  bytes[original.length >> 1] = (bytes[original.length >> 1] ?? 0) ^ 1;
  writeFileSync(flipped, bytes);
  const refused = await verify('--export', flipped);
  t.match(refused, { code: 30, errors: /AUDIT_LOG_ALTERED/ });
  t.ok(readFileSync(flipped).equals(bytes) && readFileSync(whole).equals(original), 'what is verified stays as it is');
  const missing = await verify('--export', join(directory, 'nowhere'));
  t.equal(missing.code, 2);
  t.match(missing.errors, /INPUT_FILE_UNREADABLE.*ENOENT/);
});
