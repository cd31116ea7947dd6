import type { FaultRule } from '../support/fault-module/fault-module.ts';
import type { Fault } from './fault.ts';
import { type FaultSystem, nodeTag } from './fault-system.ts';

/** What HSMs do. Each on node 1 alone. */
const CKR = {
  GENERAL_ERROR: 0x05,
  DEVICE_ERROR: 0x30,
  DEVICE_REMOVED: 0x32,
  SESSION_HANDLE_INVALID: 0xb3,
  USER_NOT_LOGGED_IN: 0x101,
} as const;
/** `callDeadlineMs` of the slots, as it is by default. */
const deadlineMs = 5_000;
const tag = nodeTag(1);
const broken = ['suspect', 'recovering', 'starting', 'probing'];

/** Rules that hold until the fault is over, each of which must have hit something. */
function rules(...list: readonly FaultRule[]): Pick<Fault, 'inject' | 'heal' | 'check'> {
  let before: Readonly<Record<string, number>> = {};
  return {
    inject({ control }: FaultSystem) {
      before = control.stats().applied;
      control.set(list);
    },
    heal: ({ control }: FaultSystem) => control.clear(),
    check({ control }: FaultSystem) {
      const { applied } = control.stats();
      const idle = list.filter(({ action }) => applied[action] === (before[action] ?? 0));
      return idle.map(({ action }) => `no call met the fault “${action}”`);
    },
  };
}

export const deviceError: Fault = {
  name: 'device error',
  ...rules({ action: 'error', on: '*', code: CKR.DEVICE_ERROR, tag }),
  expect: { during: broken, staysDown: true },
};

export const hangInSign: Fault = {
  name: 'hang in C_Sign',
  ...rules({ action: 'hang', on: ['C_Sign'], tag }),
  expect: { during: ['recovering', 'starting', 'probing'], staysDown: true, deadlineMs },
};

/**
 * A key whose blob an HSM does not open any more. Bad data is not a bad slot: no other key may suffer, and the slot goes
 * on. The other HSM, if it opens it, serves the key.
 */
function oneBlob(name: string, at: { readonly tag?: string }, expect: Partial<Fault['expect']>): Fault {
  let damaged = '';
  let workerBefore: number | undefined;
  const workerOf = async (system: FaultSystem) => (await system.status(1))?.slots[0]?.worker?.pid;
  return {
    name,
    async inject(system: FaultSystem) {
      workerBefore = await workerOf(system);
      damaged = system.keys[1]?.id ?? '';
      const blob = (await system.blobOf(damaged)).slice(0, 32);
      system.control.set([{ action: 'error', on: ['C_UnwrapKey'], blob, code: CKR.GENERAL_ERROR, ...at }]);
    },
    heal: ({ control }: FaultSystem) => control.clear(),
    lastsMs: 4_000,
    expect: { during: ['ready'], ...expect },
    async check(system, { history }) {
      const worker = await workerOf(system);
      const failed = history.filter(({ answers }) => answers.at(-1)?.is === 'failed');
      return [
        ...(worker === workerBefore ? [] : ['one bad blob cost the slot its worker']),
        ...(failed.every(({ key }) => key.id === damaged) ? [] : ['a request of another key failed']),
        ...(expect.mayAnswer === undefined || failed.length > 0 ? [] : ['no HSM opened the key, and nothing failed']),
      ];
    },
  };
}

export const hsmFaults: readonly Fault[] = [
  deviceError,
  {
    name: 'device removed',
    ...rules({ action: 'vanish', what: 'token', code: CKR.DEVICE_REMOVED, tag }),
    expect: { during: broken, staysDown: true },
  },
  {
    name: 'token not present',
    ...rules({ action: 'vanish', what: 'token', tag }),
    expect: { during: broken, staysDown: true },
  },
  {
    name: 'session handles invalid',
    ...rules({ action: 'forget', what: 'sessions', tag }),
    expect: { during: ['ready', ...broken] },
  },
  {
    name: 'session handles invalid, all the time',
    ...rules({ action: 'error', on: ['C_SignInit', 'C_UnwrapKey'], code: CKR.SESSION_HANDLE_INVALID, tag }),
    expect: { during: broken, staysDown: true },
  },
  {
    name: 'user not logged in',
    ...rules({ action: 'forget', what: 'login', tag }),
    expect: { during: ['ready', ...broken] },
  },
  {
    name: 'user not logged in, all the time',
    ...rules({ action: 'error', on: ['C_SignInit', 'C_UnwrapKey'], code: CKR.USER_NOT_LOGGED_IN, tag }),
    expect: { during: broken, staysDown: true },
  },
  {
    name: 'session count',
    ...rules({ action: 'session-limit', max: 1, tag }, { action: 'forget', what: 'sessions', tag }),
    expect: { during: ['ready', ...broken] },
  },
  oneBlob('general error on one blob', { tag }, {}),
  oneBlob('general error on one blob, at every HSM', {}, { mayAnswer: ({ is }) => is === 'failed' }),
  {
    name: 'corrupt signature',
    ...rules({ action: 'corrupt', on: ['C_Sign'], mechanism: 0x1041, tag }),
    expect: { during: broken },
  },
  {
    name: 'slow HSM (0.3 s a call)',
    ...rules({ action: 'latency', ms: 300, on: ['C_Sign', 'C_UnwrapKey'], tag }),
    expect: { during: ['ready'] },
    lastsMs: 4_000,
  },
  hangInSign,
  {
    name: 'hang in C_UnwrapKey',
    ...rules({ action: 'hang', on: ['C_UnwrapKey'], tag }),
    expect: { during: ['recovering', 'starting', 'probing'], staysDown: true, deadlineMs },
  },
  {
    name: 'hang in C_OpenSession',
    ...rules({ action: 'hang', on: ['C_OpenSession'], tag }, { action: 'forget', what: 'sessions', tag }),
    expect: { during: ['recovering', 'starting', 'probing'], staysDown: true, deadlineMs },
  },
  {
    name: 'crash in C_Sign',
    ...rules({ action: 'crash', on: ['C_Sign'], tag }),
    expect: { during: ['recovering', 'starting', 'probing'], staysDown: true },
  },
];
