import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import t from 'tap';
import { repository } from '../scripts/local/places.ts';
import { freePort } from '../scripts/setup/free-port.js';

/** A port is given out seconds before something listens on it: meanwhile nobody else may be given the same. */
const program = `import { freePort } from ${JSON.stringify(join(repository, 'scripts/setup/free-port.js'))};`;

t.test('a port that one process was given is given to no other while it lives', async (t) => {
  const first = spawn(
    process.execPath,
    [
      '--input-type=module',
      '-e',
      `${program}
    console.log(await freePort());
    process.stdin.resume();`,
    ],
    { stdio: ['pipe', 'pipe', 'inherit'] },
  );
  const ended = once(first, 'exit');
  const [line] = await once(createInterface({ input: first.stdout }), 'line');
  const lowest = Number(line);
  t.ok(lowest >= 15_000);
  const only = { lowest, above: lowest + 1 };
  await t.rejects(freePort(0, only), { message: 'no free port on 127.0.0.1' });
  first.kill('SIGKILL');
  await ended;
  t.equal(await freePort(0, only), lowest, 'it goes back however the process ended');
});

t.test('a process is given the port again that it names, and holds it no longer than it has work', async (t) => {
  const { stdout } = await promisify(execFile)(process.execPath, [
    '--input-type=module',
    '-e',
    `${program}
    const port = await freePort();
    console.log(port === await freePort(port));`,
  ]);
  t.equal(stdout.trim(), 'true');
});
