import { spawn } from 'node:child_process';
import { join } from 'node:path';
import t from 'tap';
import { repository } from '../scripts/local/places.ts';
import { runCommand } from './support/command.ts';
import { temporaryDirectory } from './support/soft-token.ts';
import { openSystem } from './support/system.ts';
import { until } from './support/until.ts';

/** What the tour of `npm start` asks a newcomer to do about audit log and disaster, on what `npm start` runs. */
const system = await openSystem(t);
const { places, sdk } = system;
const directory = temporaryDirectory(t);
const key = await sdk.keys.createKey({ body: { scheme: 'ECDSA', curve: 'secp256k1' } });
await sdk.keys.generateSignature({ keyId: key.id, body: { kind: 'Hash', hash: 'ab'.repeat(32) } });

t.test('the audit log of a running system is exported and verified against what the API keeps', async (t) => {
  const log = join(directory, 'log');
  // A head travels some seconds after what it speaks for.
  let looks = 0;
  const anchors = await until('the node that made the key has sent a head', async () => {
    looks += 1;
    const file = join(directory, `anchors-${looks}`);
    const kept = await runCommand('api', 'audit-anchors', '--config', places.apiConfig, '--out', file);
    if (kept.code !== 0) throw new Error(kept.errors);
    return /: [1-9]\d* heads?\b/.test(kept.out) && file;
  });
  const exported = await runCommand('audit', 'export', '--config', join(places.node(1), 'config.yaml'), '--out', log);
  t.equal(exported.code, 0, exported.errors);
  const given = ['--export', log, '--ceremony', places.ceremonyFile, '--anchors', anchors];
  const verified = await runCommand('audit', 'verify', ...given, '--json');
  t.equal(verified.code, 0, verified.out);
  const verdict = JSON.parse(verified.out);
  t.match(verdict, { sound: true, problems: [] });
  t.ok(verdict.anchors >= 1);
});

t.test('a restore is drilled beside the running system', async (t) => {
  const script = join(repository, 'scripts/local/drill.ts');
  const child = spawn(process.execPath, [script, '--directory', places.root], { stdio: ['ignore', 'pipe', 'pipe'] });
  let said = '';
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk) => {
      said += chunk;
    });
  const code = await new Promise((resolve) => child.once('close', resolve));
  t.equal(code, 0, said);
  t.match(said, /1 keys restored/);
  t.match(said, /1 of 1 active keys opened and signed/);
  t.match(said, /from the file to signing keys: \d+\.\d s/);
});
