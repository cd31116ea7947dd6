import type { FunctionName } from './functions.ts';

/** In the order of `enum action` in rule.h. */
export const faultActions = [
  'latency',
  'error',
  'hang',
  'crash',
  'corrupt',
  'vanish',
  'forget',
  'wrong-pin',
  'session-limit',
  'reverse-slots',
] as const;
export type FaultAction = (typeof faultActions)[number];

/** Which calls a rule is about; all that are given must hold. */
export interface Selectors {
  /** One process. */
  readonly pid?: number;
  /** Processes whose environment has HSM_FAULT_TAG with this value. */
  readonly tag?: string;
  /** One thread of each process: their number in the order in which they first called the module, from 0. */
  readonly thread?: number;
  /** CKM_… of the call; C_Sign and its like count as what their thread's latest C_SignInit (or other such call) named. */
  readonly mechanism?: number;
  /** So many of these calls are left alone first, counted over all processes from when the rule was set. */
  readonly after?: number;
  /** So many are hit at most, counted over all processes from when the rule was set. */
  readonly count?: number;
  /** 0 to 1: each call is hit with this chance, decided by its number and `seed`. */
  readonly probability?: number;
  /** The same seed hits the same calls. Default: taken from the rule. */
  readonly seed?: number;
}

type Functions = '*' | readonly FunctionName[];

/** Functions by name, or C_UnwrapKey of one blob. */
type On = { readonly on: Functions } | { readonly on: readonly ['C_UnwrapKey']; readonly blob: string };

/** Before the real call is made (the default), or after it. */
interface When {
  readonly when?: 'before' | 'after';
}

export type FaultRule = Selectors &
  (
    | ({ readonly action: 'latency'; readonly ms: number } & On & When)
    /** CKR_…; `after`: the answer is lost after the call. The real one was made, its result is dropped. */
    | ({ readonly action: 'error'; readonly code: number } & On & When)
    /** Until this rule is gone from the control file. */
    | ({ readonly action: 'hang' } & On & When)
    | ({ readonly action: 'crash'; readonly signal?: 'SIGSEGV' | 'SIGABRT' } & On & When)
    /** One bit of the output; bit 0 is the lowest of the last byte, default: one in the middle. Attributes: public keys. */
    | { readonly action: 'corrupt'; readonly on: readonly OutputFunction[]; readonly bit?: number }
    /** The token is pulled out, or its slot with it. Sessions and the login are gone for good, also when it is back. */
    | { readonly action: 'vanish'; readonly what: 'token' | 'slots'; readonly code?: number }
    /** Once in each process, at its next call on a session: its sessions are closed, or its user is logged out. */
    | { readonly action: 'forget'; readonly what: 'sessions' | 'login'; readonly on?: Functions }
    /** User logins are refused, the real token is not asked; `pin` is what its flags say about tries that are left. */
    | { readonly action: 'wrong-pin'; readonly pin?: 'low' | 'final' | 'locked' }
    /** C_OpenSession answers CKR_SESSION_COUNT when so many sessions are open in a process. */
    | { readonly action: 'session-limit'; readonly max: number }
    | { readonly action: 'reverse-slots' }
  );

export type OutputFunction = 'C_Sign' | 'C_SignFinal' | 'C_WrapKey' | 'C_GetAttributeValue';

/**
 * A rule as a line of the control file.
 * @throws TypeError when a value would not be read back as it is.
 */
export function renderRule(rule: FaultRule): string {
  const { pid, tag, thread, mechanism, after, count, probability, seed } = rule;
  const words = { ...own(rule), pid, tag, thread, mechanism, after, count, probability, seed };
  return Object.entries({ action: rule.action, ...words })
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => `${key}=${word(key, value)}`)
    .join(' ');
}

type Words = Readonly<Record<string, string | number | undefined>>;

/** What an action has of its own. */
function own(rule: FaultRule): Words {
  switch (rule.action) {
    case 'latency':
      return { ...where(rule), ms: rule.ms };
    case 'error':
      return { ...where(rule), code: hex(rule.code) };
    case 'hang':
      return where(rule);
    case 'crash':
      return { ...where(rule), signal: rule.signal };
    case 'corrupt':
      return { on: list(rule.on), bit: rule.bit };
    case 'vanish':
      return { what: rule.what, code: rule.code === undefined ? undefined : hex(rule.code) };
    case 'forget':
      return { what: rule.what, on: rule.on === undefined ? undefined : list(rule.on) };
    case 'wrong-pin':
      return { pin: rule.pin };
    case 'session-limit':
      return { max: rule.max };
    case 'reverse-slots':
      return {};
    default:
      return rule satisfies never;
  }
}

function where(rule: On & When): Words {
  return { on: list(rule.on), blob: 'blob' in rule ? rule.blob : undefined, when: rule.when };
}

function list(functions: Functions): string {
  return functions === '*' ? '*' : functions.join(',');
}

function hex(code: number): string {
  return `0x${code.toString(16)}`;
}

function word(key: string, value: string | number | undefined): string {
  const text = String(value);
  const fine = typeof value === 'number' ? Number.isFinite(value) && value >= 0 : /^[\w.:*,-]{1,2000}$/.test(text);
  const whole = key === 'ms' || key === 'probability' || typeof value !== 'number' || Number.isSafeInteger(value);
  if (!fine || !whole) throw new TypeError(`fault rule: ${key}=${text} cannot be written into a control file`);
  return text;
}
