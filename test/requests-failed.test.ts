import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import t from 'tap';
import { stringify } from 'yaml';
import { repository } from '../scripts/local/places.ts';
import { openTestDatabases } from './support/database.ts';
import { makeKey, openDriver, openQueue, signatures, signRequest } from './support/queue.ts';

const databases = await openTestDatabases(t);
const queue = await openQueue(t, databases.api);
const directory = mkdtempSync(join(tmpdir(), 'hsm-signing-failed-'));
t.teardown(() => rmSync(directory, { recursive: true, force: true }));

/** Commands beside the API read its configuration and open none of its listeners. */
const config = join(directory, 'api.yaml');
const listener = { host: '127.0.0.1', port: 1, certificateFile: 'x', privateKeyFile: 'x' };
const point =
  '04' +
  '6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c2964fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5';
writeFileSync(
  config,
  stringify({
    kind: 'api',
    application: listener,
    driver: { ...listener, clientCaFile: 'x' },
    database: databases.api,
    userActionSecretFile: 'x',
    keyStores: [{ id: 'test', primary: true, attestationPublicKey: point }],
  }),
);

async function failedRequests(...options: string[]): Promise<string> {
  const args = [join(repository, 'src/cli/main.ts'), 'api', 'requests', 'failed', '--config', config, ...options];
  return (await promisify(execFile)(process.execPath, args)).stdout;
}

t.test('what failed for good is listed with its reason, what was signed is not', async (t) => {
  t.match(await failedRequests(), 'No request failed for good.');
  const key = await makeKey(queue);
  const [bad, good] = [signRequest(key.id), signRequest(key.id)];
  for (const request of [bad, good]) await queue.application.submit(request);
  const driver = openDriver(queue, 'node-a');
  for (const leased of await driver.lease(2, 10_000)) {
    const error = { kind: 'Error', code: 'KEY_UNUSABLE', message: 'the blob does not open', retryable: false } as const;
    await driver.report(leased, leased.id === bad.id ? error : signatures(key.publicKey));
  }
  t.match(JSON.parse(await failedRequests('--json')), [
    { id: bad.id, kind: 'Sign', code: 'KEY_UNUSABLE', reason: 'the blob does not open', keyId: key.id },
  ]);
  t.match(await failedRequests('--limit', '1'), new RegExp(`${bad.id}.*KEY_UNUSABLE.*the blob does not open`));
  await t.rejects(failedRequests('--limit', 'many'), { code: 2, stderr: /OPTION_INVALID.*--limit/ });
});
