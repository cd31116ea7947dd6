import t from 'tap';
import {
  type Decision,
  decide,
  hopeless,
  type SlotStanding,
  steadyMs,
  type WorkerExit,
} from '../src/primary/restart-policy.ts';
import { type ExitName, exitCodes } from '../src/shared/exit-codes.ts';

const exit = (reason: WorkerExit['reason'], readyMs = 0): WorkerExit => ({ reason, readyMs });
const times = (count: number, one: WorkerExit): WorkerExit[] => Array.from({ length: count }, () => one);
/** Without the jitter's shortening. */
const full = (exits: readonly WorkerExit[]): Decision => decide(exits, 1);
const delays = (one: WorkerExit, counts: readonly number[]): unknown[] =>
  counts.map((count) => {
    const decision = full(times(count, one));
    return decision.do === 'restart' ? decision.afterMs : decision.do;
  });

t.test('every exit code has a decision that fits its table', async (t) => {
  for (const [name, { restart }] of Object.entries(exitCodes)) {
    const { do: what } = full([exit(name as ExitName)]);
    if (name === 'PIN') t.equal(what, 'latch');
    else if (name === 'OK') t.equal(what, 'restart', 'nobody asked it to end');
    else t.equal(what, restart === 'back-off' ? 'restart' : 'stop', name);
  }
});

t.test('a refused PIN latches, whatever went before', async (t) => {
  t.strictSame(full([exit('SIGNAL', 60_000), exit('DATABASE'), exit('PIN')]), { do: 'latch' });
});

t.test(
  'files that do not fit end a slot that never worked; one that did tries them again at the longest delay',
  async (t) => {
    for (const reason of ['CONFIGURATION', 'SECRET_FILE'] as const) {
      t.strictSame(decide([exit(reason)], 0), { do: 'stop' });
      t.strictSame(decide([exit('SIGNAL', 60_000), exit(reason)], 0, { everReady: true }), {
        do: 'restart',
        afterMs: 10_000,
      });
    }
    for (const name of Object.keys(exitCodes) as ExitName[]) {
      if (name === 'CONFIGURATION' || name === 'SECRET_FILE') continue;
      t.strictSame(decide([exit(name)], 1, { everReady: true }), decide([exit(name)], 1), name);
    }
  },
);

t.test('what was killed or lost its device is replaced at once, then ever later', async (t) => {
  for (const reason of ['SIGNAL', 'DEVICE'] as const) {
    t.strictSame(delays(exit(reason), [1, 2, 3, 4, 20]), [0, 500, 1_000, 2_000, 10_000]);
  }
});

t.test('a database that is down is tried from a quarter of a second to five seconds', async (t) => {
  t.strictSame(
    delays(exit('DATABASE'), [1, 2, 3, 4, 5, 6, 7, 20]),
    [250, 500, 1_000, 2_000, 4_000, 5_000, 5_000, 5_000],
  );
});

t.test('steady work makes an earlier fault history', async (t) => {
  t.strictSame(full([...times(5, exit('DEVICE')), exit('DEVICE', steadyMs)]), { do: 'restart', afterMs: 0 });
  t.strictSame(full([...times(5, exit('SIGNAL')), exit('SIGNAL', steadyMs - 1)]), { do: 'restart', afterMs: 8_000 });
});

t.test('jitter shortens a delay by up to a half, never lengthens it', async (t) => {
  t.strictSame(decide([exit('DATABASE')], 0), { do: 'restart', afterMs: 125 });
  t.strictSame(decide([exit('DATABASE')], 0.5), { do: 'restart', afterMs: 188 });
});

t.test('a node ends only when no slot works and none will', async (t) => {
  const slot = (change: Partial<SlotStanding>): SlotStanding => ({ phase: 'running', everReady: false, ...change });
  const stopped = slot({ phase: 'stopped', lastReason: 'MODULE' });
  const noToken = slot({ phase: 'waiting', lastReason: 'TOKEN' });
  const noKeys = slot({ phase: 'waiting', lastReason: 'MASTER_KEY' });
  const noDatabase = slot({ phase: 'waiting', lastReason: 'DATABASE' });
  const latched = slot({ phase: 'latched', lastReason: 'PIN' });
  const cases: [string, SlotStanding[], boolean][] = [
    ['one slot, stopped for good', [stopped], true],
    ['one slot, no token at the first start', [noToken], true],
    ['one slot, no keys at the first start', [noKeys], true],
    ['one slot, no token after it had worked', [{ ...noToken, everReady: true }], false],
    ['stopped for good after it had worked', [{ ...stopped, everReady: true }], true],
    ['database down', [noDatabase], false],
    ['all stopped or without token', [stopped, noToken], true],
    ['the other still starts', [stopped, slot({})], false],
    ['the other had worked', [noToken, slot({ phase: 'waiting', lastReason: 'SIGNAL', everReady: true })], false],
    ['a slot is latched', [latched], false],
    ['a slot is latched, the other stopped', [latched, stopped], false],
  ];
  for (const [name, slots, ends] of cases) t.equal(hopeless(slots), ends, name);
});
