import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import type { SlotConfiguration } from '../src/shared/configuration/sections.ts';
import { exitCodes } from '../src/shared/exit-codes.ts';
import { makeCertificates } from './support/certificates.ts';
import { openTestDatabases } from './support/database.ts';
import { isAlive, startNode, writeNodeConfiguration } from './support/driver-node.ts';
import { openScriptedApi } from './support/scripted-api.ts';
import { makeKey } from './support/slot-worker.ts';
import { createKeyStore, createSoftToken, pin, temporaryDirectory } from './support/soft-token.ts';
import { until } from './support/until.ts';

const databases = await openTestDatabases(t);
const certificates = await makeCertificates(t);
const api = await openScriptedApi(t, certificates);
const store = await createKeyStore(t);
const [slotA, slotB] = store.slots;
const parts = { api, certificates, database: databases.driver, store };
const directory = temporaryDirectory(t);

function pinFile(name: string, content: string, mode = 0o600): string {
  const file = join(directory, name);
  writeFileSync(file, content);
  chmodSync(file, mode);
  return file;
}

const wrongPin = 'javert-99999';

/** What an operator gets wrong, the exit code, and what standard error must name. */
const mistakes: Record<
  string,
  { slot?: Partial<SlotConfiguration>; change?: Record<string, unknown>; exit: keyof typeof exitCodes; says: RegExp }
> = {
  'a PIN file that everybody can read': {
    slot: { pinFile: pinFile('open', `${pin}\n`, 0o644) },
    exit: 'SECRET_FILE',
    says: /SECRET_FILE_UNSAFE.*slots\[0\]\.pinFile.*644/,
  },
  'a PIN file that is missing': {
    slot: { pinFile: join(directory, 'none') },
    exit: 'SECRET_FILE',
    says: /SECRET_FILE_MISSING.*none/,
  },
  'a PIN file that is empty': {
    slot: { pinFile: pinFile('empty', '') },
    exit: 'SECRET_FILE',
    says: /SECRET_FILE_INVALID/,
  },
  'a module that is missing': {
    slot: { module: join(directory, 'no.so') },
    exit: 'MODULE',
    says: /MODULE_NOT_LOADED.*no\.so/,
  },
  'a module that is no library': {
    slot: { module: pinFile('text.so', 'text') },
    exit: 'MODULE',
    says: /MODULE_NOT_LOADED/,
  },
  'a token label that no token has': {
    slot: { tokenLabel: 'elsewhere' },
    exit: 'TOKEN',
    says: /TOKEN_NOT_FOUND.*elsewhere/,
  },
  'a key that does not exist': { change: { colour: 'red' }, exit: 'CONFIGURATION', says: /CONFIG_INVALID.*colour/ },
  'a ceremony file of another key store': {
    change: { keyStore: 'other' },
    exit: 'CONFIGURATION',
    says: /CONFIG_INVALID.*other/,
  },
};

for (const [name, { slot = {}, change = {}, exit, says }] of Object.entries(mistakes)) {
  t.test(`${name}: exit code ${exitCodes[exit].code}, and one line that says why`, async (t) => {
    const node = startNode(t, await writeNodeConfiguration(t, { ...parts, slots: [{ ...slotA, ...slot }] }, change));
    t.strictSame(await node.exited, { code: exitCodes[exit].code, signal: null });
    t.match(node.errors(), says);
    t.equal(node.errors().trim().split('\n').length, 1);
    t.notMatch(node.errors(), pin);
  });
}

t.test('a token without the key store’s keys: exit code MASTER_KEY', async (t) => {
  const { serial: _, ...empty } = await createSoftToken(t, 'empty');
  const node = startNode(t, await writeNodeConfiguration(t, { ...parts, slots: [empty] }));
  t.strictSame(await node.exited, { code: exitCodes.MASTER_KEY.code, signal: null });
  t.match(node.errors(), /MASTER_KEY_MISSING/);
});

t.test('a wrong PIN is tried once; the node stays, and its other slot works and is replaced', async (t) => {
  const slots = [{ ...slotA, pinFile: pinFile('wrong', `${wrongPin}\n`) }, slotB];
  const node = startNode(t, await writeNodeConfiguration(t, { ...parts, slots }));
  t.match(await node.line('worker gone; it is not started again'), {
    slot: 'a',
    fault: 'PIN_REFUSED',
    code: exitCodes.PIN.code,
  });
  const ofA = (line: Record<string, unknown>) => line.slot === 'a';
  for (let death = 1; death <= 2; death++) {
    const { pid } = await node.line('slot ready', (line) => line.slot === 'b', death);
    await until('it polls', () => api.leaseCalls.length > 0);
    process.kill(pid, 'SIGKILL');
    await node.line('slot ready', (line) => line.slot === 'b', death + 1);
  }
  t.equal(node.count('worker started', ofA), 1, 'nobody tried the PIN again');
  t.match(await makeKey(api), { id: /^key-/ });
  t.ok(isAlive(node.pid));
  const logged = node.log.map((line) => JSON.stringify(line)).join('\n');
  for (const one of [pin, wrongPin]) t.notMatch(logged, one, 'no PIN in the log');
  node.signalGroup('SIGTERM');
  t.strictSame(await node.exited, { code: 0, signal: null });
});

t.test('a node whose only slot is latched stays up: a restart would try the PIN again', async (t) => {
  const node = startNode(
    t,
    await writeNodeConfiguration(t, { ...parts, slots: [{ ...slotA, pinFile: pinFile('wrong2', '99998\n') }] }),
  );
  await node.line('worker gone; it is not started again');
  // Its answer to a stop shows that it lives and was not about to end by itself.
  t.ok(isAlive(node.pid));
  process.kill(node.pid, 'SIGTERM');
  await node.line('stopped');
  t.strictSame(await node.exited, { code: 0, signal: null });
});

t.test('a slot whose token is missing does not end a node that works', async (t) => {
  const slots = [{ ...slotA, tokenLabel: 'elsewhere' }, slotB];
  const node = startNode(t, await writeNodeConfiguration(t, { ...parts, slots }));
  await node.line('slot ready', (line) => line.slot === 'b');
  t.match(await node.line('worker gone; it is replaced'), { slot: 'a', fault: 'TOKEN_NOT_FOUND' });
  await node.line('worker started', (line) => line.slot === 'a', 3);
  t.equal(
    node.count('worker gone; it is replaced', (line) => line.slot === 'a' && line.level === 'warn'),
    1,
    'told once',
  );
  node.signalGroup('SIGTERM');
  t.strictSame(await node.exited, { code: 0, signal: null });
});

t.test('with its database down a node keeps starting, says so once, and works when it is there', async (t) => {
  await databases.stop();
  const node = startNode(t, await writeNodeConfiguration(t, parts));
  t.match(await node.line('worker gone; it is replaced'), {
    fault: 'DATABASE_UNREACHABLE',
    code: exitCodes.DATABASE.code,
  });
  await node.line('worker started', undefined, 3);
  t.equal(
    node.count('worker gone; it is replaced', (line) => line.level === 'warn'),
    1,
  );
  await databases.restart();
  await node.line('slot ready');
  t.match(await makeKey(api), { id: /^key-/ });
  node.signalGroup('SIGTERM');
  t.strictSame(await node.exited, { code: 0, signal: null });
});

t.test('with its API down a node starts, and takes work when it is there', async (t) => {
  await api.stop();
  const node = startNode(t, await writeNodeConfiguration(t, parts));
  t.match(await node.line('signing API cannot be reached'), { cause: /ECONNREFUSED/ });
  await node.line('slot ready');
  await api.start();
  t.match(await makeKey(api), { id: /^key-/ });
  await node.line('signing API answers again');
  node.signalGroup('SIGTERM');
  t.strictSame(await node.exited, { code: 0, signal: null });
});
