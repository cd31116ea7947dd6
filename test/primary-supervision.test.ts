import t from 'tap';
import { createStartUpTurns } from '../src/primary/start-up-turns.ts';
import { createReleasers } from '../src/shared/releasers.ts';
import { end, supervise } from './support/played-workers.ts';
import { until } from './support/until.ts';

t.test('turns: one holder a token, first come first served, and a dead holder’s turn goes on', async (t) => {
  const turns = createStartUpTurns();
  const granted: string[] = [];
  const [a, b, c, elsewhere] = [{}, {}, {}, {}];
  turns.want('token', a, () => granted.push('a'));
  turns.want('token', b, () => granted.push('b'));
  turns.want('token', c, () => granted.push('c'));
  turns.want('other token', elsewhere, () => granted.push('elsewhere'));
  t.strictSame(granted, ['a', 'elsewhere']);
  turns.end(b); // dies while it waits
  t.strictSame(granted, ['a', 'elsewhere']);
  turns.end(a);
  t.strictSame(granted, ['a', 'elsewhere', 'c']);
  turns.end(a);
  turns.end(c);
  turns.want('token', b, () => granted.push('b again'));
  t.strictSame(granted, ['a', 'elsewhere', 'c', 'b again']);
});

t.test('releasers run in reverse, once, and go on after a failure and after a step that hangs', async (t) => {
  const order: string[] = [];
  const failures: string[] = [];
  const releasers = createReleasers((what) => failures.push(what));
  releasers.add('first', () => order.push('first'));
  releasers.add('fails', () => Promise.reject(new Error('no')));
  releasers.add('hangs', () => new Promise(() => {}), 5);
  releasers.add('adds', () => releasers.add('late', () => order.push('late')));
  releasers.add('last', () => order.push('last'));
  const [one, two] = [releasers.release(), releasers.release()];
  t.equal(one, two);
  t.equal(await one, false, 'something hung');
  t.strictSame(order, ['last', 'late', 'first']);
  t.strictSame(failures, ['hangs', 'fails']);
  releasers.add('after the end', () => order.push('after'));
  await until('released at once', () => order.includes('after'));
});

t.test('a worker that ends is replaced and its instance released', async (t) => {
  const { supervisor, workers, released } = supervise(t, ['a']);
  workers[0]?.listener.onEnd(
    end({ reason: 'SIGNAL', code: null, signal: 'SIGKILL', instance: 'i-1', readyMs: 10_000 }),
  );
  await until('the next worker', () => workers.length === 2);
  t.strictSame(released, ['i-1']);
  await supervisor.stop();
  t.ok(workers[1]?.stopped);
});

t.test('stop during a restart’s delay starts nothing more', async (t) => {
  const { supervisor, workers } = supervise(t, ['a']);
  workers[0]?.listener.onEnd(end({ reason: 'DATABASE', code: 17 }));
  await supervisor.stop();
  t.equal(workers.length, 1);
});

t.test('a node whose slots all stopped for good ends with the first one’s fault', async (t) => {
  const { supervisor, workers } = supervise(t, ['a', 'b']);
  workers[1]?.listener.onEnd(end({ reason: 'TOKEN', fault: { code: 'TOKEN_NOT_FOUND', detail: 'b' } }));
  workers[0]?.listener.onEnd(end({ reason: 'MODULE', fault: { code: 'MODULE_NOT_LOADED', detail: 'a' } }));
  t.match(await supervisor.hopeless, { code: 'MODULE_NOT_LOADED', detail: 'a' });
  await supervisor.stop();
});
