import t from 'tap';
import { createPace } from '../src/worker/maintenance/pace.ts';

/** How maintenance on the HSM gives way to signing; the clock is the test’s own, rests are real. */
let clockMs = 0;
const takes = (ms: number) => async (): Promise<void> => {
  clockMs += ms;
};
const goOn = new AbortController().signal;

t.test('while signing has work in the HSM, maintenance rests nineteen times as long as its step took', async (t) => {
  const pace = createPace(
    () => true,
    () => clockMs,
  );
  await pace.step(takes(100), goOn);
  const stopping = new AbortController();
  let begun = false;
  const next = pace.step(async () => {
    begun = true;
  }, stopping.signal);
  await new Promise((resolve) => setImmediate(resolve));
  t.notOk(begun, 'it rests');
  stopping.abort();
  await t.rejects(next, { name: 'AbortError' }, 'and may be ended while it does');
  t.notOk(begun);
  clockMs += 1_900;
  await pace.step(async () => {
    begun = true;
  }, goOn);
  t.ok(begun, 'the rest is over');
});

t.test('on a slot that does not sign it goes on at once; no rest is longer than five seconds', async (t) => {
  let signing = false;
  const pace = createPace(
    () => signing,
    () => clockMs,
  );
  let done = 0;
  const step = async (): Promise<void> => {
    clockMs += 10_000;
    done += 1;
  };
  await pace.step(step, goOn);
  await pace.step(step, goOn);
  t.equal(done, 2, 'after a step that would have to be rested for long');
  signing = true;
  clockMs += 5_000;
  await pace.step(step, goOn);
  t.equal(done, 3);
});

t.test('a step that fails is rested for too', async (t) => {
  const pace = createPace(
    () => true,
    () => clockMs,
  );
  await t.rejects(
    pace.step(async () => {
      clockMs += 50;
      throw new Error('the HSM is busy');
    }, goOn),
    { message: 'the HSM is busy' },
  );
  const stopping = new AbortController();
  const next = pace.step(async () => t.fail('it should rest'), stopping.signal);
  stopping.abort();
  await t.rejects(next, { name: 'AbortError' });
});
