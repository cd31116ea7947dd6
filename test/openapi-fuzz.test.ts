import { execFile } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { promisify } from 'node:util';
import t, { type Test } from 'tap';
import { repository } from '../scripts/local/places.ts';
import { userAction } from './support/application.ts';
import { type LiveApplication, openLiveApplication } from './support/live-application.ts';

/**
 * The OpenAPI document against the server: schemathesis makes calls from the one and holds the answers of the other
 * against it. It is Python’s; where it cannot be installed, this is skipped and says why.
 */
const version = '4.32.5';
const directory = join(repository, '.cache/schemathesis');
const program = join(directory, `bin/st`);
const run = promisify(execFile);

async function install(): Promise<string | undefined> {
  if (existsSync(join(directory, version))) return undefined;
  try {
    await run('python3', ['-m', 'venv', directory], { timeout: 60_000 });
    const options = ['install', '--quiet', '--disable-pip-version-check', `schemathesis==${version}`];
    await run(join(directory, 'bin/pip'), options, { timeout: 240_000 });
    mkdirSync(join(directory, version));
    return undefined;
  } catch (error) {
    return `schemathesis ${version} cannot be installed: ${(error as Error).message.split('\n')[0]}`;
  }
}

t.setTimeout(900_000);
const missing = await install();

/** What is fuzzed is signed on its way, as a client would sign it: else nothing behind a user action would be reached. */
async function openSigningProxy(t: Test, application: LiveApplication): Promise<string> {
  const { account, server } = application;
  const proxy = createServer(async (incoming, answer) => {
    try {
      const { method = 'GET', url = '/' } = incoming;
      const payload = await buffer(incoming);
      const path = url.split('?')[0] ?? '';
      const isPlain = method === 'GET' || /^\/auth\/(action|credentials\/init)/.test(path);
      const token = isPlain ? '' : await userAction(application, account, method, path, payload.toString('utf8'));
      const { 'content-type': type, 'content-length': _, ...others } = incoming.headers;
      const headers = {
        ...others,
        ...(payload.length === 0 || type === undefined ? {} : { 'content-type': type }),
        authorization: `Bearer ${account.authToken}`,
        ...(isPlain || token === undefined ? {} : { 'x-dfns-useraction': token }),
      };
      const result = await server.inject({ method: method as 'GET', url, headers, payload });
      answer.writeHead(result.statusCode, { 'content-type': result.headers['content-type'] ?? '' }).end(result.body);
    } catch (error) {
      answer.writeHead(599).end(String(error));
    }
  });
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
  t.teardown(() => proxy.close());
  return `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`;
}

t.test('what is fuzzed from the document is answered as the document says', { skip: missing ?? false }, async (t) => {
  const application = await openLiveApplication(t, {
    configuration: { rateLimit: { perSecond: 100_000, burst: 100_000 } },
  });
  const url = await openSigningProxy(t, application);
  const checks = 'not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance';
  const { stdout } = await run(
    program,
    [
      ...['run', `${url}/openapi.json`, '--header', 'x-dfns-useraction: signed on the way'],
      ...['--checks', checks, '--max-examples', '10', '--phases', 'coverage,fuzzing', '--suppress-health-check', 'all'],
      ...['--seed', '1', '--no-color', '--request-timeout', '60'],
    ],
    // What it finds it writes below its own directory.
    { cwd: directory, timeout: 560_000, maxBuffer: 16 * 1024 * 1024, env: { PATH: process.env.PATH } },
  ).catch((error: { stdout?: string; message: string }) => {
    t.fail('schemathesis ended badly', { said: (error.stdout ?? error.message).slice(-6_000) });
    return { stdout: error.stdout ?? '' };
  });
  t.comment(stdout.slice(-1200));
  const [, count = '0'] = /(\d+) generated/.exec(stdout) ?? [];
  t.ok(Number(count) > 1_000, `${count} calls were made`);
});
