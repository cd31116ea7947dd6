import t from 'tap';
import type { ClusterNode, NodeSlot } from '../src/primary/cluster/nodes.ts';
import { startProblems } from '../src/primary/rotation/start-problems.ts';

/** When a rotation may start: every live signing slot holds both keys and makes new keys under the new one. */
const signing: NodeSlot = {
  name: 'hsm',
  token: '',
  state: 'ready',
  forMs: 1,
  why: '',
  masterKeyId: 'mk-new',
  integrityKeyId: 'ik-new',
  keys: ['mk-new', 'mk-old', 'ik-new', 'ik-old'],
};
const rotating: NodeSlot = { ...signing, purpose: 'rotation', keys: ['mk-new', 'ik-new'], rotates: ['mk-old'] };
const node = (name: string, slot: Partial<NodeSlot>, live = true): ClusterNode => ({
  ...{ node: name, instance: '', version: '1', seenAt: '', live },
  slots: [{ ...signing, ...slot }],
});
const master = { kind: 'master-key', fromId: 'mk-old', toId: 'mk-new' } as const;
const integrity = { kind: 'integrity-key', fromId: 'ik-old', toId: 'ik-new' } as const;
const rotationNode: ClusterNode = { ...node('r', {}), slots: [rotating] };

t.test('it starts when all hold both keys and a rotation node is ready', async (t) => {
  const nodes = [node('a', {}), node('b', {}), node('dead', { keys: [] }, false), rotationNode];
  t.same(startProblems(master, nodes), []);
  t.same(startProblems(integrity, nodes), []);
});

t.test('each reason against it is a sentence that says what to do', async (t) => {
  const cases: [string, Partial<NodeSlot>, RegExp][] = [
    [
      'lacks the new key',
      { keys: ['mk-old'], masterKeyId: 'mk-old' },
      /slot b\/hsm has not proven mk-new: fill its token/,
    ],
    ['lacks the old key', { keys: ['mk-new'] }, /slot b\/hsm has not proven mk-old/],
    ['is not ready', { state: 'recovering', why: 'killed' }, /slot b\/hsm is recovering \(killed\)/],
    ['makes keys under the old one', { masterKeyId: 'mk-old' }, /still makes new keys under mk-old/],
  ];
  for (const [name, change, sentence] of cases) {
    const problems = startProblems(master, [node('a', {}), node('b', change), rotationNode]);
    t.equal(problems.length, 1, name);
    t.match(problems[0], sentence, name);
  }
  t.match(startProblems(integrity, [node('b', { integrityKeyId: 'ik-old' })]), [/new keys under ik-old/]);
});

t.test('without a rotation node that can open the old key and wrap by the new one, it does not start', async (t) => {
  const none = ['no rotation node is ready that re-wraps from mk-old to mk-new'];
  t.same(startProblems(master, [node('a', {})]), none);
  for (const change of [{ rotates: [] }, { state: 'latched' as const }, { masterKeyId: 'mk-old' }]) {
    t.same(startProblems(master, [node('a', {}), { ...rotationNode, slots: [{ ...rotating, ...change }] }]), none);
  }
  t.same(startProblems(integrity, [node('a', {})]), [], 'the integrity key needs none');
  t.match(startProblems(master, [rotationNode]), ['no signing node is live']);
});
