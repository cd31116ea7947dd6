import { writeFileSync } from 'node:fs';
import t from 'tap';
import { type ClusterTurns, noTurns } from '../src/primary/cluster/turns.ts';
import { planRollOut, rollOut } from '../src/primary/roll-out.ts';
import { createRollOuts } from '../src/primary/roll-outs.ts';
import type { SlotConfiguration } from '../src/shared/configuration/sections.ts';
import { createLog } from '../src/shared/log.ts';
import type { WorkerReport } from '../src/shared/worker-report.ts';
import { idleReport } from '../src/worker/report.ts';
import { end, type PlayedNode, supervise } from './support/played-workers.ts';
import { slotIn, temporaryDirectory } from './support/soft-token.ts';
import { until } from './support/until.ts';

const log = createLog('silent', {});

/** Rolls the slots out as they are; the test plays what becomes of each worker. */
function roll(t: import('tap').Test, node: PlayedNode): { done: Promise<void>; abort(): void; ended(): boolean } {
  const abort = new AbortController();
  t.teardown(() => abort.abort());
  const slots = configurationsOf(node);
  let ended = false;
  const plan = planRollOut(
    slots.map((slot) => slot.name),
    slots,
  );
  const parts = { supervisor: node.supervisor, turn: async () => {}, lost: new Map(), log };
  const done = rollOut(plan, parts, abort.signal).then(() => {
    ended = true;
  });
  return { done, abort: () => abort.abort(), ended: () => ended };
}

const configurationsOf = (node: PlayedNode) => node.supervisor.slots().map((slot) => slot.configuration);

/** Roll-outs of a node whose turns are granted at once and counted. */
function openRollOuts(t: import('tap').Test, node: PlayedNode) {
  const counted = { taken: 0, held: 0 };
  const clusterTurns: ClusterTurns = {
    async take() {
      counted.taken += 1;
      counted.held += 1;
      return {
        end() {
          counted.held -= 1;
        },
      };
    },
  };
  const rollOuts = createRollOuts({ supervisor: node.supervisor, clusterTurns, log });
  t.teardown(() => rollOuts.stop());
  return { counted, rollOuts };
}

function makeReady(node: PlayedNode, slot: string): void {
  node.worker(slot).listener.onState('probing');
  node.worker(slot).listener.onState('ready');
}

function report(node: PlayedNode, slot: string, change: Partial<WorkerReport>): void {
  const { state } = node.slot(slot);
  if (state === 'recovering' || state === 'latched') throw new Error('it has no worker');
  node.worker(slot).listener.onReport({
    ...idleReport,
    state,
    api: 'reached',
    threads: { total: 1, busy: 0 },
    ...change,
  });
}

const started = (node: PlayedNode, slot: string): number => node.workers.filter((one) => one.slot === slot).length;

t.test('what is new starts, what stays is replaced, what is gone ends', async (t) => {
  const slot = (name: string) => slotIn(t.testdirName, name);
  t.testdir();
  const [a, b, c] = [slot('a'), slot('b'), slot('c')];
  t.strictSame(planRollOut(['a', 'b'], [b, c]), { added: [c], kept: [b], removed: ['a'] });
  t.strictSame(planRollOut(['a'], [a]), { added: [], kept: [a], removed: [] });
});

t.test('a slot that worked and is not ready again holds up the others until it is', async (t) => {
  const node = supervise(t, ['a', 'b']);
  makeReady(node, 'a');
  makeReady(node, 'b');
  const rolling = roll(t, node);
  await until('a is replaced', () => started(node, 'a') === 2);
  node.worker('a').listener.onEnd(end({ reason: 'DEVICE', code: 16 }));
  await until('a once more', () => started(node, 'a') === 3);
  t.equal(started(node, 'b'), 1);
  makeReady(node, 'a');
  await until('b is replaced', () => started(node, 'b') === 2);
  makeReady(node, 'b');
  await rolling.done;
});

t.test('where a slot of the node had leased, each must lease before the next is replaced', async (t) => {
  const node = supervise(t, ['a', 'b']);
  makeReady(node, 'a');
  makeReady(node, 'b');
  // As it is after a reload with a wrong API section.
  report(node, 'a', { leasedOnce: false });
  report(node, 'b', { leasedOnce: true });
  const rolling = roll(t, node);
  await until('a is replaced', () => started(node, 'a') === 2);
  makeReady(node, 'a');
  report(node, 'a', { api: 'lost' });
  await new Promise((resolve) => setImmediate(resolve));
  t.equal(started(node, 'b'), 1);
  report(node, 'a', { leasedOnce: true });
  await until('b is replaced', () => started(node, 'b') === 2);
  makeReady(node, 'b');
  report(node, 'b', { leasedOnce: true });
  await rolling.done;
});

t.test('where no slot had leased, or none has whom to ask, being ready is enough', async (t) => {
  for (const api of ['lost', 'none'] as const) {
    const node = supervise(t, ['a', 'b']);
    makeReady(node, 'a');
    makeReady(node, 'b');
    report(node, 'a', { api });
    report(node, 'b', { api });
    const rolling = roll(t, node);
    for (const slot of ['a', 'b']) {
      await until(`${slot} is replaced`, () => started(node, slot) === 2);
      report(node, slot, { api });
      makeReady(node, slot);
    }
    await rolling.done;
  }
});

t.test(
  'a slot that worked and is latched by the new configuration halts it, on this node and on the others',
  async (t) => {
    const node = supervise(t, ['a', 'b']);
    makeReady(node, 'a');
    makeReady(node, 'b');
    const { counted, rollOuts } = openRollOuts(t, node);
    const wrong = { reason: 'MODULE', code: 12 } as const;
    for (const times of [2, 3]) {
      // Twice: who sends it again without having mended anything loses no further worker.
      await rollOuts.begin(configurationsOf(node));
      await until('a is replaced', () => started(node, 'a') === times);
      node.worker('a').listener.onEnd(end(wrong));
      await new Promise((resolve) => setImmediate(resolve));
      t.equal(started(node, 'b'), 1);
      t.equal(node.slot('b').state, 'ready');
      t.same(counted, { taken: 1, held: 1 }, 'the turn stays with the node that has something to mend');
    }
    await rollOuts.begin(configurationsOf(node));
    await until('a is replaced by the right one', () => started(node, 'a') === 4);
    makeReady(node, 'a');
    await until('b is replaced', () => started(node, 'b') === 2);
    t.same(counted, { taken: 1, held: 1 });
    makeReady(node, 'b');
    await until('the turn goes on', () => counted.held === 0);
  },
);

t.test(
  'a node whose new PIN is wrong keeps its turn, and each worker that has another login, until it is mended',
  async (t) => {
    const directory = temporaryDirectory(t);
    const node = supervise(t, ['a', 'b'], { slots: (name) => slotIn(directory, name) });
    makeReady(node, 'a');
    makeReady(node, 'b');
    const { counted, rollOuts } = openRollOuts(t, node);
    writeFileSync(`${directory}/pin`, 'something-else\n');
    for (const times of [2, 3]) {
      await rollOuts.begin(configurationsOf(node));
      await until('a is replaced', () => started(node, 'a') === times);
      node.worker('a').listener.onEnd(end({ reason: 'PIN', code: 14 }));
      await new Promise((resolve) => setImmediate(resolve));
      t.equal(started(node, 'b'), 1);
      t.same(counted, { taken: 1, held: 1 });
    }
    node.supervisor.replace(configurationsOf(node)[0] as SlotConfiguration, 'its PIN file changed');
    makeReady(node, 'a');
    await until('the turn goes on', () => counted.held === 0);
    t.equal(started(node, 'b'), 1);
  },
);

t.test('a node that leases no more keeps its turn, also through a second reload, until it leases', async (t) => {
  const node = supervise(t, ['a']);
  makeReady(node, 'a');
  report(node, 'a', { leasedOnce: true });
  const { counted, rollOuts } = openRollOuts(t, node);
  for (const times of [2, 3]) {
    await rollOuts.begin(configurationsOf(node));
    await until('a is replaced', () => started(node, 'a') === times);
    makeReady(node, 'a');
    report(node, 'a', { api: 'lost' });
    await new Promise((resolve) => setImmediate(resolve));
    t.same(counted, { taken: 1, held: 1 });
  }
  report(node, 'a', { leasedOnce: true });
  await until('the turn goes on', () => counted.held === 0);
});

t.test('a device that went during a reload holds it up once; the next reload goes on without it', async (t) => {
  const node = supervise(t, ['a', 'b']);
  makeReady(node, 'a');
  makeReady(node, 'b');
  const { counted, rollOuts } = openRollOuts(t, node);
  await rollOuts.begin(configurationsOf(node));
  await until('a is replaced', () => started(node, 'a') === 2);
  node.worker('a').listener.onEnd(end({ reason: 'DEVICE', code: 16 }));
  t.equal(started(node, 'b'), 1);
  await rollOuts.begin(configurationsOf(node));
  node.worker('a').listener.onEnd(end({ reason: 'DEVICE', code: 16 }));
  await until('b is replaced', () => started(node, 'b') === 2);
  makeReady(node, 'b');
  await until('the turn goes on', () => counted.held === 0);
});

t.test('a node that ends in the middle of a reload gives its turn back', async (t) => {
  const node = supervise(t, ['a']);
  makeReady(node, 'a');
  const { counted, rollOuts } = openRollOuts(t, node);
  await rollOuts.begin(configurationsOf(node));
  await until('a is replaced', () => started(node, 'a') === 2);
  t.equal(counted.held, 1);
  rollOuts.stop();
  t.equal(counted.held, 0);
});

t.test('a slot that was latched and is again does not keep the others from being replaced', async (t) => {
  const node = supervise(t, ['a', 'b']);
  node.worker('a').listener.onEnd(end({ reason: 'PIN', code: 14 }));
  t.equal(node.slot('a').state, 'latched');
  makeReady(node, 'b');
  const rolling = roll(t, node);
  await until('a is tried', () => started(node, 'a') === 2);
  node.worker('a').listener.onEnd(end({ reason: 'PIN', code: 14 }));
  await until('b is replaced', () => started(node, 'b') === 2);
  makeReady(node, 'b');
  await rolling.done;
});

t.test('another configuration ends a roll-out that waits', async (t) => {
  const node = supervise(t, ['a', 'b']);
  makeReady(node, 'a');
  makeReady(node, 'b');
  const rolling = roll(t, node);
  await until('a is replaced', () => started(node, 'a') === 2);
  t.equal(rolling.ended(), false);
  rolling.abort();
  await rolling.done;
  t.equal(started(node, 'b'), 1);
});

t.test('a slot that is put back while it is being taken out starts again', async (t) => {
  const slowToStop = ['b'];
  const node = supervise(t, ['a', 'b'], { slowToStop });
  makeReady(node, 'a');
  makeReady(node, 'b');
  const [a, b] = configurationsOf(node);
  if (a === undefined || b === undefined) throw new Error('there are two slots');
  const rollOuts = createRollOuts({ supervisor: node.supervisor, clusterTurns: noTurns, log });
  t.teardown(() => rollOuts.stop());
  await rollOuts.begin([a]);
  await until('a is replaced', () => started(node, 'a') === 2);
  makeReady(node, 'a');
  const leaving = node.worker('b');
  await until('b is told to stop', () => leaving.told.includes('stop'));
  slowToStop.length = 0;
  const again = rollOuts.begin([a, b]);
  leaving.listener.onEnd(end({ how: 'asked', reason: 'OK', code: 0 }));
  await again;
  await until('b starts again', () => started(node, 'b') === 2);
  makeReady(node, 'b');
  await until('a is replaced too', () => started(node, 'a') === 3);
  makeReady(node, 'a');
  t.same(
    node.supervisor.slots().map((slot) => [slot.configuration.name, slot.record.state]),
    [
      ['a', 'ready'],
      ['b', 'ready'],
    ],
  );
});
