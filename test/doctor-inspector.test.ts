import { spawn } from 'node:child_process';
import { once } from 'node:events';
import t, { type Test } from 'tap';
import type { Finding } from '../src/doctor/check.ts';
import { runningNode } from '../src/doctor/running-node.ts';
import type { NodeStatus } from '../src/primary/operations/status.ts';

/** Whether `doctor` sees that a debugger could be let into a process that knows the PIN. */
async function findingsOf(t: Test, ...flags: readonly string[]): Promise<readonly Finding[]> {
  const child = spawn(process.execPath, [...flags, '-e', 'console.log(1); process.stdin.resume()']);
  t.teardown(() => child.kill('SIGKILL'));
  await once(child.stdout, 'data');
  const status = {
    version: '1',
    pid: child.pid,
    slots: [],
    readiness: { ready: true },
    cluster: { reachable: true },
  } as unknown as NodeStatus;
  return await runningNode(async () => status).look();
}

t.test('a process that would open an inspector on SIGUSR1 is named', async (t) => {
  t.match(
    (await findingsOf(t)).filter(({ level }) => level === 'warning'),
    [{ found: /^SIGUSR1 would open an inspector in process \d+$/ }],
  );
});

t.test('a process that was started without that is not, wherever the flag stood', async (t) => {
  t.same(
    (await findingsOf(t, '--disable-sigusr1')).filter(({ level }) => level !== 'good'),
    [],
  );
});
