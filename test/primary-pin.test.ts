import { chmodSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { end, type PlayedNode, supervise } from './support/played-workers.ts';
import { slotIn, temporaryDirectory } from './support/soft-token.ts';
import { until } from './support/until.ts';

const refused = end({ reason: 'PIN', code: 14, fault: { code: 'PIN_REFUSED', detail: 'x' } });
const started = (node: PlayedNode, slot: string): number => node.workers.filter((one) => one.slot === slot).length;

/** Two slots that share a PIN file and a PIN counter. */
function sharing(t: import('tap').Test): { node: PlayedNode; pinFile: string } {
  const pinFile = join(temporaryDirectory(t), 'pin');
  writeFileSync(pinFile, 'first\n', { mode: 0o600 });
  const node = supervise(t, ['a', 'b'], {
    slots: (name, directory) => ({ ...slotIn(`${directory}/${name}`, name), pinFile, pinGuardGroup: 'both' }),
  });
  return { node, pinFile };
}

t.test('of the slots that wait for a new PIN one proves it, the others wait for that one', async (t) => {
  const { node, pinFile } = sharing(t);
  for (const slot of ['a', 'b']) node.worker(slot).listener.onEnd(refused);
  t.match([node.slot('a'), node.slot('b')], [{ state: 'latched' }, { state: 'latched' }]);
  // Replaced as Kubernetes and careful people do it.
  writeFileSync(`${pinFile}.new`, 'other\n', { mode: 0o600 });
  renameSync(`${pinFile}.new`, pinFile);
  await until('one is tried', () => started(node, 'a') === 2);
  node.worker('a').listener.onState('probing');
  t.equal(started(node, 'b'), 1);
  node.worker('a').listener.onState('ready');
  await until('then the other', () => started(node, 'b') === 2);
  t.match(node.slot('b'), { state: 'starting', why: 'its PIN file changed' });
});

t.test('a new PIN that is refused is not tried by whoever shares it', async (t) => {
  const { node, pinFile } = sharing(t);
  for (const slot of ['a', 'b']) node.worker(slot).listener.onEnd(refused);
  writeFileSync(pinFile, 'wrong again\n');
  await until('one is tried', () => started(node, 'a') === 2);
  node.worker('a').listener.onEnd(refused);
  // The next change shows that the one before was looked at and left alone.
  writeFileSync(pinFile, 'right now\n');
  await until('one is tried again', () => started(node, 'a') === 3);
  t.equal(started(node, 'b'), 1);
});

t.test('a PIN file that went away and is back is reason to try again, for the slot that waits for it', async (t) => {
  const { node, pinFile } = sharing(t);
  node.worker('b').listener.onState('probing');
  node.worker('b').listener.onState('ready');
  node.worker('a').listener.onEnd(end({ reason: 'SECRET_FILE', code: 11 }));
  rmSync(pinFile);
  writeFileSync(pinFile, 'back\n', { mode: 0o600 });
  await until('tried', () => started(node, 'a') === 2);
  t.equal(started(node, 'b'), 1, 'one that works is left alone');
});

t.test('a PIN file that others can read no more is reason to try again', async (t) => {
  const pinFile = join(temporaryDirectory(t), 'pin');
  writeFileSync(pinFile, 'open\n', { mode: 0o644 });
  const node = supervise(t, ['a'], {
    slots: (name, directory) => ({ ...slotIn(`${directory}/${name}`, name), pinFile }),
  });
  node.worker('a').listener.onEnd(end({ reason: 'SECRET_FILE', code: 11 }));
  t.match(node.slot('a'), { state: 'latched' });
  chmodSync(pinFile, 0o600);
  await until('tried', () => started(node, 'a') === 2);
});

t.test('an order that clears the PIN is seen though the clock was set back after the slot latched', async (t) => {
  const now = Date.now;
  t.teardown(() => {
    Date.now = now;
  });
  let asked = 0;
  let ageMs = 0;
  const node = supervise(t, ['a'], {
    slots: (name, directory) => ({ ...slotIn(`${directory}/${name}`, name), pinGuardGroup: 'one' }),
    async pinClears(withinMs) {
      asked += 1;
      const clear = { guardGroup: 'one', tokenSerial: '', tokenLabel: '', ageMs };
      return ageMs < withinMs ? [clear] : [];
    },
  });
  // Given before it latched: that one is no reason.
  ageMs = 60_000;
  node.worker('a').listener.onEnd(refused);
  await until('orders are looked for', () => asked >= 2);
  t.equal(started(node, 'a'), 1);
  Date.now = () => now() - 3_600_000;
  ageMs = 0;
  await until('tried again', () => started(node, 'a') === 2);
});
