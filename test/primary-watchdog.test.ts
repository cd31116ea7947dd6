import t from 'tap';
import { inCrashLoop } from '../src/primary/crash-loop.ts';
import { steadyMs } from '../src/primary/restart-policy.ts';
import { mayGo, type SlotState, slotStates } from '../src/primary/slot-table.ts';
import { overdue, startWatchdog, type WorkerSigns, watchdogLimits } from '../src/primary/watchdog.ts';
import { end, supervise } from './support/played-workers.ts';
import { slotIn } from './support/soft-token.ts';
import { until } from './support/until.ts';

t.test('what hangs is overdue, and what is only slow to start is not', async (t) => {
  const limits = { ...watchdogLimits, callMs: 5_000 };
  const at = 100_000;
  const signs = (change: Partial<WorkerSigns>): WorkerSigns => ({
    state: 'ready',
    startedAtMs: 0,
    heardAtMs: at,
    oldestCallMs: 0,
    turnSinceMs: undefined,
    ...change,
  });
  const starting = { state: 'starting' as const, startedAtMs: at };
  const cases: [string, Partial<WorkerSigns>, string | undefined][] = [
    ['well', {}, undefined],
    ['a call at its deadline', { oldestCallMs: 5_000 }, undefined],
    ['a call past its deadline', { oldestCallMs: 5_001 }, 'CALL_OVERDUE'],
    ['the same in the probe', { state: 'probing', oldestCallMs: 5_001 }, 'CALL_OVERDUE'],
    ['a long C_Initialize', { ...starting, oldestCallMs: 29_000 }, undefined],
    ['one that never returns', { ...starting, oldestCallMs: 30_001 }, 'CALL_OVERDUE'],
    ['silent for two seconds', { heardAtMs: at - 2_000 }, undefined],
    ['silent for longer', { heardAtMs: at - 2_001 }, 'SILENT'],
    ['silent while starting', { ...starting, heardAtMs: at - 29_000 }, undefined],
    ['not heard yet', { state: 'starting', startedAtMs: at - 29_000, heardAtMs: undefined }, undefined],
    ['never heard', { state: 'starting', startedAtMs: at - 30_001, heardAtMs: undefined }, 'SILENT'],
    ['waits for its turn', { state: 'starting', startedAtMs: 0 }, undefined],
    ['keeps its turn', { ...starting, turnSinceMs: at - 30_001 }, 'START_OVERDUE'],
  ];
  for (const [name, change, expected] of cases) t.equal(overdue(signs(change), limits, at), expected, name);
});

t.test('a primary that was stopped itself blames nobody', async (t) => {
  const seen: string[] = [];
  const stop = startWatchdog({ look: () => seen.push('look'), forgive: () => seen.push('forgive') });
  t.teardown(stop);
  await until('it looks', () => seen.includes('look'));
  const blockedUntil = performance.now() + 1_500;
  while (performance.now() < blockedUntil); // as SIGSTOP would
  seen.length = 0;
  await until('its next moment', () => seen.length > 0);
  t.equal(seen[0], 'forgive');
});

t.test('a crash loop is many ends in a while without steady work', async (t) => {
  const ends = (count: number, readyMs = 0, apartMs = 10_000) =>
    Array.from({ length: count }, (_none, at) => ({ atMs: at * apartMs, readyMs }));
  t.equal(inCrashLoop(ends(7), 70_000), false);
  t.equal(inCrashLoop(ends(8), 80_000), true);
  t.equal(inCrashLoop([...ends(7), { atMs: 70_000, readyMs: steadyMs }], 70_000), false);
  t.equal(inCrashLoop(ends(8, 0, 60_000), 480_000), false, 'spread over a long time');
});

t.test('a worker that sends no heartbeats is killed, its instance released, and replaced at once', async (t) => {
  const node = supervise(t, ['a', 'b']);
  for (const slot of ['a', 'b']) {
    const { listener } = node.worker(slot);
    listener.onStarted(`instance ${slot}`);
    listener.onState('probing');
    listener.onState('ready');
    listener.onHeartbeat(0);
  }
  const beating = setInterval(() => node.worker('b').listener.onHeartbeat(0), 250);
  t.teardown(() => clearInterval(beating));
  const first = node.worker('a');
  await until('replaced', () => node.worker('a') !== first);
  t.strictSame(first.told, ['kill']);
  t.strictSame(node.slot('a').restarts, { SILENT: 1 });
  t.match(node.slot('a').lastFault, { code: 'SILENT' });
  t.equal(node.slot('b').state, 'ready');
  t.equal(node.workers.length, 3, 'the other slot went on');
});

t.test('a worker whose call hangs is killed at the slot’s deadline, and its siblings look at the device', async (t) => {
  const node = supervise(t, ['a', 'b', 'c'], {
    slots: (name, directory) => ({ ...slotIn(directory, name === 'c' ? 'y' : 'x'), name, callDeadlineMs: 200 }),
  });
  for (const { listener } of [...node.workers]) {
    listener.onState('probing');
    listener.onState('ready');
    listener.onHeartbeat(0);
  }
  const [a, b, c] = node.workers;
  a?.listener.onHeartbeat(201);
  await until('replaced', () => node.workers.length === 4);
  t.strictSame(a?.told, ['kill']);
  t.strictSame(node.slot('a').restarts, { CALL_OVERDUE: 1 });
  t.strictSame(b?.told, ['suspect'], 'on the same token');
  t.strictSame(c?.told, [], 'on another');
});

t.test(
  'a device fault of one worker is told to its siblings on the token, not to itself, and only where it helps',
  async (t) => {
    const node = supervise(t, ['a', 'b', 'c'], { slots: (name, directory) => ({ ...slotIn(directory, 'x'), name }) });
    const [a, b, c] = node.workers;
    for (const worker of [a, b]) {
      worker?.listener.onState('probing');
      worker?.listener.onState('ready');
    }
    a?.listener.onDeviceFault('HSM_DEVICE_FAULT', 'CKR_DEVICE_ERROR');
    t.strictSame([a?.told, b?.told, c?.told], [[], ['suspect'], []]);
    t.match(node.slot('a').lastFault, { code: 'HSM_DEVICE_FAULT', detail: 'CKR_DEVICE_ERROR' });
    // The sibling finds the same: nobody is sent to look again and again.
    b?.listener.onState('suspect');
    a?.listener.onState('suspect');
    b?.listener.onDeviceFault('HSM_DEVICE_FAULT', 'CKR_DEVICE_ERROR');
    a?.listener.onDeviceFault('HSM_DEVICE_FAULT', 'CKR_DEVICE_ERROR');
    t.strictSame([a?.told, b?.told], [[], ['suspect']]);
  },
);

t.test('what a worker that is not waited for any more still says, counts no more', async (t) => {
  const node = supervise(t, ['a']);
  const first = node.worker('a');
  first.listener.onState('probing');
  first.listener.onEnd(end({ reason: 'SIGNAL', code: null, signal: 'SIGKILL' }));
  await until('the next worker', () => node.workers.length === 2);
  first.listener.onState('ready');
  first.listener.onEnd(end({}));
  t.equal(node.slot('a').state, 'starting');
  t.equal(node.workers.length, 2);
});

t.test('a restart after a failed one waits for its turn in the cluster, the first one does not', async (t) => {
  const asked: string[] = [];
  const granted = Promise.withResolvers<void>();
  let ended = 0;
  const node = supervise(t, ['a'], {
    clusterTurns: {
      async take(purpose, slot) {
        asked.push(`${purpose}: ${slot}`);
        await granted.promise;
        return { end: () => ended++ };
      },
    },
  });
  const dies = end({ reason: 'DEVICE', code: 16 });
  node.worker('a').listener.onEnd(dies);
  await until('at once', () => node.workers.length === 2);
  t.strictSame(asked, []);
  node.worker('a').listener.onEnd(dies);
  await until('asks', () => asked.length === 1);
  t.strictSame(asked, ['reconnect token a: a']);
  t.match(node.slot('a'), { state: 'recovering', why: 'waits for its turn to reconnect' });
  t.equal(node.workers.length, 2);
  granted.resolve();
  await until('started', () => node.workers.length === 3);
  t.equal(ended, 0, 'it keeps its turn until it is ready');
  node.worker('a').listener.onState('probing');
  node.worker('a').listener.onState('ready');
  t.equal(ended, 1);
});

t.test('a slot in a crash loop is told once as an error, and held back with the longest delay', async (t) => {
  const node = supervise(t, ['a']);
  const dies = end({ reason: 'DATABASE', code: 17 });
  for (let death = 1; death <= 9; death++) {
    await until('a worker', () => node.workers.length === death);
    t.equal(node.slot('a').crashLoop, death > 8);
    node.worker('a').listener.onEnd(dies);
  }
  const said = (sentence: string) => node.log.filter((one) => one.msg === sentence);
  t.match(
    said('worker gone; it is replaced').map((one) => one.level),
    ['warn', ...Array.from({ length: 8 }, () => 'debug')],
    'told once',
  );
  const loops = said('slot held back: its workers end again and again');
  t.match(loops, [{ level: 'error', ends: 8, restartInMs: 5_000 }]);
  t.equal(loops.length, 1);
  t.strictSame(node.slot('a').restarts, { DATABASE: 9 });
});

t.test('a slot goes only where its table says, and leaves latched only to start or to stop', async (t) => {
  const allowed = (from: SlotState) => slotStates.filter((to) => mayGo(from, to));
  t.strictSame(allowed('latched'), ['starting', 'stopping']);
  t.strictSame(allowed('ready'), ['suspect', 'recovering', 'latched', 'stopping']);
  for (const state of slotStates) t.equal(mayGo(state, state), false);
  t.strictSame(
    slotStates.filter((from) => mayGo(from, 'ready')),
    ['probing', 'suspect'],
  );
});
