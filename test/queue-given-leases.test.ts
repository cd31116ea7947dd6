import { randomUUID } from 'node:crypto';
import t from 'tap';
import { createGivenLeases } from '../src/api/queue/given-leases.ts';

/** Which lease calls need no statement. A call that is wrongly held for settled would keep work that nobody has. */
const node = { name: 'node-a', keyStore: 'custody' };
const instance = randomUUID();
const call = (...holding: string[]) => ({
  ...{ instance, slot: 'hsm-1', capabilities: ['Sign:ECDSA/secp256k1'], max: 1, waitMs: 0 },
  holding,
});

function opened() {
  let nowMs = 1_000;
  const given = createGivenLeases(() => nowMs);
  return { given, pass: (ms: number) => (nowMs += ms) };
}

t.test('an instance that nobody heard of is asked for', async (t) => {
  t.notOk(opened().given.isSettled(node, call()));
});

t.test('a call that holds all it was given is settled, for a moment', async (t) => {
  const { given, pass } = opened();
  given.renewed(node, call('a'));
  given.gave(instance, ['b', 'c']);
  t.ok(given.isSettled(node, call('a', 'b', 'c')));
  pass(249);
  t.ok(given.isSettled(node, call('a', 'b', 'c')));
  pass(1);
  t.notOk(given.isSettled(node, call('a', 'b', 'c')), 'leases and presence want to be renewed');
});

t.test('what was given and is not held goes back, unless its outcome came', async (t) => {
  const { given } = opened();
  given.renewed(node, call('a'));
  given.gave(instance, ['b']);
  t.notOk(given.isSettled(node, call('a')), 'the answer was lost');
  t.notOk(given.isSettled(node, call('b')), 'given back');
  given.acknowledged(instance, ['a']);
  t.ok(given.isSettled(node, call('b')));
});

t.test('an instance is settled only as it called before: same node, slot and capabilities', async (t) => {
  const { given } = opened();
  given.renewed(node, call());
  t.ok(given.isSettled(node, call()));
  t.notOk(given.isSettled({ ...node, name: 'node-b' }, call()));
  t.notOk(given.isSettled({ ...node, keyStore: 'other' }, call()));
  t.notOk(given.isSettled(node, { ...call(), slot: 'hsm-2' }));
  t.notOk(given.isSettled(node, { ...call(), capabilities: [] }));
  t.notOk(given.isSettled(node, { ...call(), instance: randomUUID() }));
});

t.test('an instance that ended is asked for', async (t) => {
  const { given } = opened();
  given.renewed(node, call());
  given.forget(instance);
  t.notOk(given.isSettled(node, call()));
});
