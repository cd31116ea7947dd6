import { execFile } from 'node:child_process';
import { createPublicKey, verify } from 'node:crypto';
import { mkdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import t, { type Test } from 'tap';
import type { SlotConfiguration } from '../src/shared/configuration/sections.ts';
import { CKF, CKM } from '../src/worker/hsm/constants.ts';
import { compile } from './support/fault-module/build.ts';
import {
  buildFaultModule,
  type FaultControl,
  type FaultRule,
  faultActions,
  functionNames,
  openFaultControl,
} from './support/fault-module/fault-module.ts';
import { startTokenProcess, type TokenProcess } from './support/fault-module/token-process.ts';
import { pinFlags, signedMessage } from './support/fault-module/token-user.ts';
import { createSoftToken, pin, temporaryDirectory } from './support/soft-token.ts';
import { until } from './support/until.ts';

const CKR = {
  SLOT_ID_INVALID: 0x03,
  GENERAL_ERROR: 0x05,
  DEVICE_ERROR: 0x30,
  DEVICE_MEMORY: 0x31,
  DEVICE_REMOVED: 0x32,
  FUNCTION_NOT_SUPPORTED: 0x54,
  OPERATION_NOT_INITIALIZED: 0x91,
  PIN_INCORRECT: 0xa0,
  PIN_LOCKED: 0xa4,
  SESSION_COUNT: 0xb1,
  SESSION_HANDLE_INVALID: 0xb3,
  TOKEN_NOT_PRESENT: 0xe0,
  USER_NOT_LOGGED_IN: 0x101,
};

// As .taprc: some forty processes take a while on a busy machine, also when this file is run by itself.
t.setTimeout(400_000);

const sources = join(import.meta.dirname, 'support/fault-module');
const module = await buildFaultModule();
// One token for all: what is done to it ends with the process that does it.
const token = await createSoftToken(t);

function open(t: Test): { control: FaultControl; slot: SlotConfiguration; tagged(tag: string): SlotConfiguration } {
  const control = openFaultControl(temporaryDirectory(t));
  const tagged = (tag: string): SlotConfiguration => ({
    ...token,
    module,
    environment: { ...token.environment, ...control.tagged(tag) },
  });
  return { control, slot: { ...tagged(''), environment: { ...token.environment, ...control.environment } }, tagged };
}

async function logIn(user: TokenProcess): Promise<TokenProcess> {
  await user.all('load', 'initialize', 'open');
  const { code, value } = await user.ask('login', pin);
  if (code !== 0) throw new Error(`login answered ${code} ${value ?? ''}`);
  await user.all('makeKeys');
  return user;
}

function started(t: Test, slot: SlotConfiguration): Promise<TokenProcess> {
  return logIn(startTokenProcess(t, slot));
}

async function codes(user: TokenProcess, call: 'sign' | 'mac' | 'point' | 'wrap', times: number): Promise<number[]> {
  const all: number[] = [];
  for (let index = 0; index < times; index += 1) all.push((await user.ask(call)).code);
  return all;
}

t.test('without a rule every call goes through, and is counted', async (t) => {
  const { control, slot } = open(t);
  const user = await started(t, slot);
  const blob = (await user.all('wrap')) as string;
  t.equal((await user.ask('unwrap', blob)).code, 0);
  await user.all('sign', 'sign');
  const { calls, failed, faulted, sessions, objects, processes, inFlight, loginsRefused } = control.stats();
  t.match(calls, {
    C_Initialize: 1,
    C_OpenSession: 1,
    C_Login: 1,
    C_UnwrapKey: 1,
    C_Sign: 2,
    C_SignInit: 2,
    C_Verify: 0,
  });
  t.same(sessions, { opened: 1, closed: 0, open: 1 });
  t.same(objects, { made: 5, destroyed: 1, left: 4 }, 'wrapping key, MAC key, two of the pair');
  t.same([Object.values(failed), Object.values(faulted)].flat().filter(Boolean), []);
  t.same([processes.length, processes[0]?.pid, inFlight, loginsRefused], [1, user.pid, 0, 0]);
  await user.all('destroyPair', 'close');
  t.same(control.stats().objects.left, 2);
  t.same(control.stats().sessions.open, 0);
});

t.test('the tables of both languages are the same', async (t) => {
  const functions = readFileSync(join(sources, 'function-list.h'), 'utf8').matchAll(/^ {2}X\((C_\w+),/gm);
  t.same(
    Array.from(functions, ([, name]) => name),
    functionNames,
  );
  const actions = /enum action \{(.*?)ACTION_COUNT/s.exec(readFileSync(join(sources, 'rule.h'), 'utf8'))?.[1];
  const names = actions?.match(/\w+/g)?.map((name) => name.toLowerCase().replace('_', '-'));
  t.same(names, faultActions);
});

t.test('an error is answered instead of the call', async (t) => {
  const { control, slot } = open(t);
  const user = await started(t, slot);
  const made = control.stats().objects.made;
  control.set([{ on: ['C_GenerateKeyPair', 'C_Sign'], action: 'error', code: CKR.DEVICE_ERROR }]);
  t.equal((await user.ask('makePair')).code, CKR.DEVICE_ERROR);
  t.equal((await user.ask('sign')).code, CKR.DEVICE_ERROR);
  t.equal((await user.ask('wrap')).code, 0, 'others are left alone');
  const { objects, failed, faulted, applied } = control.stats();
  t.equal(objects.made, made, 'the token made nothing');
  t.match({ failed, faulted, applied }, { failed: { C_Sign: 1 }, faulted: { C_Sign: 1 }, applied: { error: 2 } });
  control.set([{ on: '*', action: 'error', code: CKR.DEVICE_MEMORY }]);
  t.same(await codes(user, 'wrap', 1), [CKR.DEVICE_MEMORY]);
  t.same(await codes(user, 'point', 1), [CKR.DEVICE_MEMORY]);
});

t.test('an answer is lost after the call', async (t) => {
  const { control, slot } = open(t);
  const user = await started(t, slot);
  const before = control.stats();
  control.set([
    { on: ['C_GenerateKeyPair', 'C_OpenSession'], action: 'error', code: CKR.DEVICE_REMOVED, when: 'after' },
  ]);
  t.equal((await user.ask('makePair')).code, CKR.DEVICE_REMOVED);
  t.equal((await user.ask('open')).code, CKR.DEVICE_REMOVED);
  t.equal(control.stats().objects.made, before.objects.made + 2, 'the token has the pair');
  t.equal(control.stats().sessions.open, before.sessions.open + 1, 'and the session');
});

t.test('a rule passes calls by, hits so many, and starts anew when it is set again', async (t) => {
  const { control, slot } = open(t);
  const user = await started(t, slot);
  // Not C_GetAttributeValue or C_GetSlotList: the binding calls them twice, the first time for a length.
  const rule: FaultRule = { on: ['C_WrapKey'], action: 'error', code: CKR.GENERAL_ERROR, after: 2, count: 3 };
  const pattern = [0, 0, 5, 5, 5, 0, 0];
  control.set([rule]);
  t.same(await codes(user, 'wrap', 7), pattern);
  control.set([rule]);
  t.same(await codes(user, 'wrap', 7), pattern);
});

t.test('processes share the counting of a rule', async (t) => {
  const { control, slot } = open(t);
  const users = [await started(t, slot), await started(t, slot)] as const;
  control.set([{ on: ['C_WrapKey'], action: 'error', code: CKR.GENERAL_ERROR, after: 1, count: 2 }]);
  const seen: number[] = [];
  for (const user of [...users, ...users, ...users]) seen.push((await user.ask('wrap')).code);
  t.same(seen, [0, 5, 5, 0, 0, 0]);
  t.same(
    control.stats().processes.map(({ applied }) => applied.error),
    [1, 1],
  );
});

t.test('chance is repeated with the same seed', async (t) => {
  const { control, slot } = open(t);
  const user = await started(t, slot);
  const rule = { on: ['C_WrapKey'], action: 'error', code: CKR.GENERAL_ERROR, probability: 0.3 } as const;
  async function pattern(seed: number): Promise<string> {
    control.set([{ ...rule, seed }]);
    return (await codes(user, 'wrap', 200)).join('');
  }
  const first = await pattern(7);
  t.equal(await pattern(7), first);
  t.not(await pattern(8), first);
  const hits = first.replaceAll('0', '').length;
  t.ok(hits > 30 && hits < 90, `${hits} of 200 calls`);
  control.set([{ ...rule, probability: 0 }]);
  t.same(await codes(user, 'wrap', 5), [0, 0, 0, 0, 0]);
});

t.test('a rule is for one process, by its id or its tag', async (t) => {
  const { control, tagged } = open(t);
  const first = await started(t, tagged('node-1'));
  const second = await started(t, tagged('node-2'));
  const both = async (): Promise<number[]> => [
    ...(await codes(first, 'point', 1)),
    ...(await codes(second, 'point', 1)),
  ];
  control.set([{ on: ['C_GetAttributeValue'], action: 'error', code: CKR.GENERAL_ERROR, pid: second.pid }]);
  t.same(await both(), [0, 5]);
  control.set([{ on: ['C_GetAttributeValue'], action: 'error', code: CKR.GENERAL_ERROR, tag: 'node-1' }]);
  t.same(await both(), [5, 0]);
  t.same(
    control.stats().processes.map(({ tag }) => tag),
    ['node-1', 'node-2'],
  );
});

t.test('a rule is for one mechanism, of C_Sign too', async (t) => {
  const { control, slot } = open(t);
  const user = await started(t, slot);
  const { value: mac } = await user.ask('mac');
  control.set([{ on: ['C_Sign'], action: 'corrupt', mechanism: CKM.SHA256_HMAC }]);
  t.ok(await isRight(user), 'the signature is as it was made');
  t.not((await user.ask('mac')).value, mac);
  control.set([{ on: ['C_Sign'], action: 'corrupt', mechanism: CKM.ECDSA }]);
  t.notOk(await isRight(user));
  t.equal((await user.ask('mac')).value, mac);
});

t.test('a rule is for one blob', async (t) => {
  const { control, slot } = open(t);
  const user = await started(t, slot);
  const bad = (await user.all('wrap')) as string;
  const good = (await user.all('makePair', 'wrap')) as string;
  const blob = bad.slice(0, 32).toUpperCase();
  control.set([{ on: ['C_UnwrapKey'], action: 'error', code: CKR.GENERAL_ERROR, blob }]);
  t.equal((await user.ask('unwrap', bad)).code, CKR.GENERAL_ERROR);
  t.equal((await user.ask('unwrap', good)).code, 0);
  t.same(control.stats().objects.destroyed, 1);
});

t.test('several threads: all are counted, one can be meant, and a rule comes while they run', async (t) => {
  const { control, slot } = open(t);
  const user = await started(t, slot);
  control.set([
    { on: ['C_Sign'], action: 'latency', ms: 4 },
    { on: ['C_SignInit'], action: 'error', code: CKR.DEVICE_ERROR, thread: 2 },
  ]);
  // The process's first thread was number 0.
  const answers = await user.threads(3, 10);
  t.same(
    answers.map((codes) => new Set(codes)),
    [new Set([0]), new Set([CKR.DEVICE_ERROR]), new Set([0])],
  );
  const [process] = control.stats().processes;
  t.equal(process?.calls.C_SignInit, 30);
  t.ok((process?.inFlightMax ?? 0) >= 2, 'they were in the module together');

  control.set([{ on: ['C_Sign'], action: 'latency', ms: 4 }]);
  const running = user.threads(3, 400);
  await until('they sign', () => control.stats().calls.C_Sign > 40);
  control.set([{ on: ['C_SignInit'], action: 'error', code: CKR.DEVICE_ERROR }]);
  const runs = await running;
  t.ok(runs.flat().includes(0));
  for (const codes of runs) {
    const from = codes.indexOf(CKR.DEVICE_ERROR);
    t.ok(from >= 0);
    t.same(new Set(codes.slice(from)), new Set([CKR.DEVICE_ERROR]));
  }
});

t.test('latency comes before the call, after it, and adds up', async (t) => {
  const { control, slot } = open(t);
  const user = await started(t, slot);
  control.set([
    { on: ['C_GetAttributeValue'], action: 'latency', ms: 30 },
    { on: '*', action: 'latency', ms: 20.5, when: 'after' },
  ]);
  const began = performance.now();
  t.equal((await user.ask('point')).code, 0);
  t.ok(performance.now() - began >= 50);
});

for (const when of ['before', 'after'] as const) {
  t.test(`a call hangs ${when} it is made, until its rule is gone`, async (t) => {
    const { control, slot } = open(t);
    const user = await started(t, slot);
    const { made } = control.stats().objects;
    const hang: FaultRule = { on: ['C_GenerateKeyPair'], action: 'hang', when };
    control.set([hang]);
    let answered = false;
    const answer = user.ask('makePair').then((answer) => {
      answered = true;
      return answer;
    });
    await until('it hangs', () => control.stats().applied.hang === 1);
    // Node's event loop is stuck as well.
    const other = user.ask('point');
    const read = (): number => control.stats().processes[0]?.versionsRead ?? 0;
    const before = read();
    control.set([{ on: ['C_Sign'], action: 'latency', ms: 1 }, hang]);
    await until('it has read them', () => read() > before);
    t.equal(answered, false, 'the same rule in a new file');
    t.match(control.stats(), { inFlight: 1, objects: { made: made + (when === 'after' ? 2 : 0) } });
    control.clear();
    t.equal((await answer).code, 0);
    t.equal((await other).code, 0);
    t.match(control.stats(), { inFlight: 0, objects: { made: made + 2 } });
  });
}

t.test('a hung process ends by SIGKILL alone, and hangs no other', async (t) => {
  const { control, slot } = open(t);
  const [user, other] = [await started(t, slot), await started(t, slot)];
  control.set([{ on: ['C_GetAttributeValue'], action: 'hang', pid: user.pid }]);
  void user.ask('point');
  await until('it hangs', () => control.stats().applied.hang === 1);
  t.equal((await other.ask('point')).code, 0);
  user.kill('SIGKILL');
  t.equal(await user.ended, 'SIGKILL');
  t.equal(control.stats().inFlight, 1, 'what it was doing is still to be seen');
});

t.test('a process crashes, once for all that are started after it', async (t) => {
  const { control, slot } = open(t);
  for (const signal of ['SIGSEGV', 'SIGABRT'] as const) {
    const user = await started(t, slot);
    control.set([{ on: ['C_Sign'], action: 'crash', signal, count: 1 }]);
    void user.ask('sign');
    t.equal(await user.ended, signal);
    const next = await started(t, slot);
    t.equal((await next.ask('sign')).code, 0);
  }
});

t.test('one bit of an output is flipped', async (t) => {
  const { control, slot } = open(t);
  const user = await started(t, slot);
  const outputs = { mac: 'C_Sign', point: 'C_GetAttributeValue', wrap: 'C_WrapKey' } as const;
  for (const [call, name] of Object.entries(outputs) as [keyof typeof outputs, (typeof outputs)['mac']][]) {
    control.clear();
    const right = number((await user.ask(call)).value);
    control.set([{ on: [name], action: 'corrupt', bit: 0 }]);
    t.equal(number((await user.ask(call)).value) ^ right, 1n, `${call}: the last bit`);
    control.set([{ on: [name], action: 'corrupt' }]);
    const difference = (number((await user.ask(call)).value) ^ right).toString(2);
    t.match(difference, /^10{100,}$/, `${call}: one bit in the middle`);
  }
  control.clear();
  t.ok(await isRight(user));
  control.set([{ on: ['C_Sign'], action: 'corrupt' }]);
  t.notOk(await isRight(user));
});

t.test('the token is pulled out; what comes back knows no session and no login', async (t) => {
  const { control, slot } = open(t);
  const user = await started(t, slot);
  const { value: before } = await user.ask('slots');
  control.set([{ action: 'vanish', what: 'token' }]);
  t.same((await user.ask('slots')).value, []);
  t.same(await codes(user, 'sign', 2), [CKR.TOKEN_NOT_PRESENT, CKR.TOKEN_NOT_PRESENT]);
  t.equal((await user.ask('close')).code, CKR.TOKEN_NOT_PRESENT);
  control.clear();
  t.same((await user.ask('slots')).value, before);
  t.same(await codes(user, 'sign', 1), [CKR.SESSION_HANDLE_INVALID]);
  t.equal((await user.ask('open')).code, 0);
  t.equal((await user.ask('makeKeys')).code, CKR.USER_NOT_LOGGED_IN);
  t.equal((await user.ask('login', pin)).code, 0);
  await user.all('makeKeys', 'sign');
});

t.test('the slot is gone, with a code of one’s own', async (t) => {
  const { control, slot } = open(t);
  const user = await started(t, slot);
  control.set([{ action: 'vanish', what: 'slots' }]);
  t.same((await user.ask('slots')).value, []);
  t.same(await codes(user, 'point', 1), [CKR.SESSION_HANDLE_INVALID]);
  control.set([{ action: 'vanish', what: 'slots', code: CKR.DEVICE_REMOVED }]);
  t.same(await codes(user, 'point', 1), [CKR.DEVICE_REMOVED]);
  t.same(control.stats().sessions, { opened: 1, closed: 1, open: 0 });
});

t.test('sessions are lost, or the login, once', async (t) => {
  const { control, slot } = open(t);
  const user = await started(t, slot);
  control.set([{ action: 'forget', what: 'login' }]);
  t.not((await user.ask('sign')).code, 0, 'private session objects went with the login');
  t.equal((await user.ask('makeKeys')).code, CKR.USER_NOT_LOGGED_IN);
  t.equal((await user.ask('login', pin)).code, 0);
  await user.all('makeKeys', 'sign');

  control.set([{ action: 'forget', what: 'sessions', on: ['C_Sign'] }]);
  await user.all('point');
  t.equal((await user.ask('sign')).code, CKR.SESSION_HANDLE_INVALID);
  t.equal((await user.ask('open')).code, 0);
  t.equal((await user.ask('login', pin)).code, 0);
  await user.all('makeKeys', 'sign');
});

t.test('sessions are lost while threads sign, and the real module survives it', async (t) => {
  const { control, slot } = open(t);
  const user = await started(t, slot);
  // Slow between the calls of the token, so that they do not end too early.
  control.set([{ on: ['C_SignInit'], action: 'latency', ms: 1 }]);
  const running = user.threads(4, 1000);
  await until('they sign', () => control.stats().calls.C_Sign > 20);
  control.set([{ action: 'forget', what: 'sessions' }]);
  for (const codes of await running) t.equal(codes.at(-1), CKR.SESSION_HANDLE_INVALID);
  t.equal(control.stats().sessions.open, 0);
});

t.test('a PIN is refused without asking the token, whose flags say how many tries are left', async (t) => {
  const { control, slot } = open(t);
  const user = startTokenProcess(t, slot);
  await user.all('load', 'initialize', 'open');
  const states = {
    low: [CKR.PIN_INCORRECT, CKF.USER_PIN_COUNT_LOW],
    final: [CKR.PIN_INCORRECT, CKF.USER_PIN_COUNT_LOW | CKF.USER_PIN_FINAL_TRY],
    locked: [CKR.PIN_LOCKED, CKF.USER_PIN_LOCKED],
  } as const;
  control.set([{ action: 'wrong-pin' }]);
  t.equal((await user.ask('login', pin)).code, CKR.PIN_INCORRECT);
  t.equal(await shownPinFlags(user), 0);
  for (const [pinState, [code, flags]] of Object.entries(states)) {
    control.set([{ action: 'wrong-pin', pin: pinState as keyof typeof states }]);
    t.equal((await user.ask('login', pin)).code, code);
    t.equal(await shownPinFlags(user), flags);
  }
  control.clear();
  t.equal(await shownPinFlags(user), 0, 'the real token saw none of it');
  t.match(control.stats(), { loginsRefused: 4, calls: { C_Login: 4 }, faulted: { C_Login: 4, C_GetTokenInfo: 0 } });
  t.equal((await user.ask('login', 'wrong')).code, CKR.PIN_INCORRECT);
  t.equal(control.stats().loginsRefused, 5, 'the token’s own refusals count too');
  t.equal((await user.ask('login', pin)).code, 0);
});

t.test('so many sessions, and no more', async (t) => {
  const { control, slot } = open(t);
  const user = await started(t, slot);
  control.set([{ action: 'session-limit', max: 2 }]);
  t.equal((await user.ask('open')).code, 0);
  t.equal((await user.ask('open')).code, CKR.SESSION_COUNT);
  await user.all('close', 'open');
});

t.test('slots come in the other order', async (t) => {
  const { control, slot } = open(t);
  const user = await started(t, slot);
  const { value } = await user.ask('slots');
  t.ok(Array.isArray(value) && value.length > 1, 'SoftHSM shows an empty slot as well');
  control.set([{ action: 'reverse-slots' }]);
  t.same((await user.ask('slots')).value, (value as string[]).toReversed());
});

t.test(
  'a file written by hand: comments, names, the real module; what is not understood is said and left out',
  async (t) => {
    const { control, slot } = open(t);
    const { HSM_FAULT_MODULE_REAL: real, ...environment } = slot.environment;
    const file = environment.HSM_FAULT_CONTROL ?? '';
    const write = (...lines: string[]): void => {
      writeFileSync(`${file}.new`, lines.join('\r\n'));
      renameSync(`${file}.new`, file);
    };
    write('# a rehearsal', `  module=${real}`, '');
    const user = await started(t, { ...slot, environment });
    write('', ' on=C_GetAttributeValue\taction=error  code=CKR_DEVICE_ERROR ', `module=${real}`);
    await until('it is noticed', async () => (await user.ask('point')).code === CKR.DEVICE_ERROR);

    const wrong = [
      'on=C_Sing action=hang',
      'on=C_Sign action=hangs',
      'on=C_Sign',
      'on=C_Sign action=error',
      'on=C_Sign action=error code=CKR_OK',
      'on=C_Login action=corrupt',
      'action=latency ms=5',
      'on=* action=latency ms=-5',
      'on=C_Sign action=hang blob=00ff',
      'on=* action=hang blob=0',
      'action=vanish what=sessions',
      'on=* action=hang forever',
    ];
    write(...wrong, 'on=C_GetAttributeValue action=error code=49');
    await until('it is noticed', async () => (await user.ask('point')).code === CKR.DEVICE_MEMORY);
    t.equal(control.stats().badLines, wrong.length);
    for (const [index] of wrong.entries()) t.match(user.errors, `line ${index + 1}: `);
    t.match(user.errors, '“on=C_Sing” is not understood');
    rmSync(file);
    await until('it is noticed', async () => (await user.ask('point')).code === 0);
  },
);

t.test('without a real module it says what to do', async (t) => {
  const user = startTokenProcess(t, { ...token, module });
  t.equal((await user.ask('load')).code, -1);
  t.match(user.errors, 'set HSM_FAULT_MODULE_REAL, or write module=/path into the control file');
  const missing = startTokenProcess(t, {
    ...token,
    module,
    environment: { HSM_FAULT_MODULE_REAL: '/nowhere/libpkcs11.so' },
  });
  t.equal((await missing.ask('load')).code, -1);
  t.match(missing.errors, 'the real module cannot be loaded: /nowhere/libpkcs11.so');
});

t.test('what the real module lacks is not supported', async (t) => {
  const { slot, control } = open(t);
  const stub = join(temporaryDirectory(t), 'stub.so');
  await compile([join(sources, 'stub/empty-module.c')], stub);
  const user = startTokenProcess(t, { ...slot, environment: { ...slot.environment, HSM_FAULT_MODULE_REAL: stub } });
  await user.all('load', 'initialize');
  t.equal((await user.ask('slots')).code, CKR.FUNCTION_NOT_SUPPORTED);
  control.set([{ action: 'vanish', what: 'slots' }]);
  t.same((await user.ask('slots')).value, []);
});

t.test('a rule that could not be read back is not written', async (t) => {
  const { control } = open(t);
  t.throws(() => control.set([{ action: 'reverse-slots', tag: 'two words' }]), /tag=two words/);
  t.throws(() => control.set([{ on: '*', action: 'latency', ms: Number.NaN }]), /ms=NaN/);
  t.throws(() => control.set([{ on: '*', action: 'hang', count: 1.5 }]), /count=1.5/);
});

t.test('several processes may build it at once; without a compiler it says what to do', async (t) => {
  const directory = temporaryDirectory(t);
  mkdirSync(directory, { recursive: true });
  const { stdout: path } = await promisify(execFile)('sh', ['-c', 'command -v cc']);
  // A compiler of another name: not built before.
  const CC = join(directory, 'cc');
  symlinkSync(path.trim(), CC);
  const build = (CC: string) =>
    promisify(execFile)(process.execPath, [join(sources, 'main.ts')], { env: { ...process.env, CC } });
  const built = await Promise.all([build(CC), build(CC), build(CC)]);
  const [library, ...others] = new Set(built.map(({ stdout }) => stdout.trim()));
  t.teardown(() => rmSync(dirname(library ?? directory), { recursive: true }));
  t.same(others, []);
  t.match(library, /fault-pkcs11\.so$/);
  await t.rejects(build(join(directory, 'no-compiler')), /apt-get install gcc/);
});

async function shownPinFlags(user: TokenProcess): Promise<number> {
  return ((await user.ask('tokenFlags')).value as number) & pinFlags;
}

function number(hex: unknown): bigint {
  return BigInt(`0x${String(hex)}`);
}

/** Whether the process's signature of a digest verifies. */
async function isRight(user: TokenProcess): Promise<boolean> {
  const { value: signature } = await user.ask('sign');
  const { value: point } = await user.ask('point');
  // SubjectPublicKeyInfo (RFC 5480) of a P-256 key, then 04‖x‖y without the OCTET STRING around it.
  const key = Buffer.from(`3059301306072a8648ce3d020106082a8648ce3d030107034200${String(point).slice(4)}`, 'hex');
  const publicKey = createPublicKey({ key, format: 'der', type: 'spki' });
  const bytes = Buffer.from(String(signature), 'hex');
  return verify('sha256', signedMessage, { key: publicKey, dsaEncoding: 'ieee-p1363' }, bytes);
}
