import { createHash } from 'node:crypto';
import type { SignedRequest } from './load.ts';
import { tellAnswer, verifies } from './load-history.ts';
import type { LoadKey } from './signing-application.ts';

/** All that was recorded of a run: what applications sent and were told, and what is written down afterwards. */
export interface History {
  readonly signatures: readonly SignedRequest[];
  /** Keys that applications asked for and were shown, each time that they were shown it. */
  readonly keys: readonly { readonly id: string; readonly publicKey: string }[];
  readonly api: {
    readonly requests: readonly ApiRequest[];
    readonly keys: readonly {
      readonly id: string;
      readonly requestId: string;
      readonly publicKey: string;
      readonly attested: boolean;
    }[];
  };
  readonly driver: {
    readonly journal: readonly JournalRow[];
    readonly keys: readonly { readonly keyId: string; readonly requestId: string; readonly publicKey: string }[];
  };
  /** Slots whose token holds another master key. */
  readonly strangers: readonly string[];
  readonly logins: {
    /** How often the token was made to refuse a PIN, or an operator allowed one more try. */
    readonly chances: number;
    readonly refused: number;
  };
}

export interface ApiRequest {
  readonly id: string;
  readonly kind: 'GenerateKey' | 'Sign';
  readonly state: string;
  readonly externalId: string | null;
  readonly keyId: string;
  /** r‖s, hex. */
  readonly signatures: readonly string[];
}

export interface JournalRow {
  readonly requestId: string;
  readonly keyId: string;
  readonly slot: string;
  readonly payloadDigest: string;
  readonly signatures: readonly string[];
}

export interface Violation {
  /** Of the list of what must never be true. */
  readonly invariant: 2 | 3 | 4 | 5 | 6 | 7 | 8;
  readonly what: string;
}

/** What must never be true, looked for in a history. Pure; none: all is well. */
export function checkHistory(history: History): readonly Violation[] {
  return [
    ...twoKeysForOneRequest(history),
    ...keyNotDurable(history),
    ...otherSignature(history),
    ...lostRequest(history),
    ...doesNotVerify(history),
    ...strangersWork(history),
    ...secondLogin(history),
  ];
}

function twoKeysForOneRequest({ keys, api, driver }: History): Violation[] {
  const told = [
    ...keys.map(({ id, publicKey }) => [`key ${id}`, publicKey]),
    ...api.keys.flatMap(({ id, requestId, publicKey }) => [
      [`key ${id}`, publicKey],
      [`request ${requestId}`, publicKey],
    ]),
    ...driver.keys.flatMap(({ keyId, requestId, publicKey }) => [
      [`key ${keyId}`, publicKey],
      [`request ${requestId}`, publicKey],
    ]),
  ] as [string, string][];
  return twice(told).map((what) => ({ invariant: 2, what: `${what} has two public keys` }));
}

function keyNotDurable({ keys, api, driver }: History): Violation[] {
  const shown = new Map(api.keys.map((key) => [key.id, key]));
  const stored = new Set(driver.keys.map(({ keyId, publicKey }) => `${keyId} ${publicKey}`));
  const reported = [...keys, ...api.keys];
  return [
    ...reported
      .filter(({ id, publicKey }) => !stored.has(`${id} ${publicKey}`))
      .map(({ id }) => `key ${id} was shown and no wrapped key is stored`),
    ...keys.filter(({ id }) => !shown.has(id)).map(({ id }) => `key ${id} was shown and the API has none`),
    ...api.keys.filter(({ attested }) => !attested).map(({ id }) => `key ${id} has no attestation that holds`),
  ].map((what) => ({ invariant: 3, what }));
}

function otherSignature({ signatures, api, driver }: History): Violation[] {
  const problems: string[] = [];
  const answered = signatures.flatMap(({ answers }) => answers.filter((answer) => answer.is === 'signed'));
  const rows = api.requests.filter(({ kind, state }) => kind === 'Sign' && state === 'signed');
  const journal = new Map(driver.journal.map((row) => [row.requestId, row]));
  const told = [
    ...answered.map(({ id, rs }) => [id, rs]),
    ...rows.map((row) => [row.id, row.signatures.join()]),
    ...driver.journal.map((row) => [row.requestId, row.signatures.join()]),
  ] as [string, string][];
  for (const id of twice(told)) problems.push(`request ${id} has two different signatures`);
  for (const { id } of rows) if (!journal.has(id)) problems.push(`request ${id} is signed and no journal has it`);
  const ids = new Map(rows.map((row) => [row.externalId, row.id]));
  for (const { externalId, key, message } of signatures) {
    const row = journal.get(ids.get(externalId) ?? '');
    if (row === undefined) continue;
    if (row.keyId !== key.id || row.payloadDigest !== digestOf(key.id, message))
      problems.push(`request ${row.requestId} was signed for something else than was asked`);
  }
  return problems.map((what) => ({ invariant: 4, what }));
}

/** Asked for and neither answered nor refused; or still open when all is over. */
function lostRequest({ signatures, api }: History): Violation[] {
  const byExternalId = new Map(api.requests.map((row) => [row.externalId, row]));
  const problems: string[] = [];
  for (const { externalId, answers } of signatures) {
    const last = answers.at(-1);
    if (last?.is === 'signed') {
      const row = byExternalId.get(externalId);
      if (row?.state !== 'signed') problems.push(`request ${externalId} was answered and is ${row?.state ?? 'gone'}`);
    } else problems.push(`request ${externalId} ${tellAnswer(last)}`);
  }
  for (const { id, kind, state } of api.requests)
    if (state === 'queued' || state === 'leased') problems.push(`${kind} ${id} is still ${state}`);
  return problems.map((what) => ({ invariant: 5, what }));
}

function doesNotVerify({ signatures, api }: History): Violation[] {
  const asked = new Map(signatures.map((one) => [one.externalId, one]));
  const released = [
    ...signatures.flatMap(({ key, message, answers }) =>
      answers.flatMap((answer) => (answer.is === 'signed' ? [{ id: answer.id, key, message, rs: answer.rs }] : [])),
    ),
    ...api.requests.flatMap(({ id, externalId, signatures: stored }) => {
      const one = asked.get(externalId ?? '');
      return one === undefined ? [] : stored.map((rs) => ({ id, key: one.key, message: one.message, rs }));
    }),
  ];
  return released
    .filter(({ key, message, rs }) => !holds(key, message, rs))
    .map(({ id }) => ({ invariant: 6, what: `the signature of request ${id} does not verify` }));
}

function strangersWork({ driver, strangers }: History): Violation[] {
  return driver.journal
    .filter(({ slot }) => strangers.includes(slot))
    .map(({ requestId, slot }) => ({ invariant: 7, what: `request ${requestId} was signed by ${slot}` }));
}

function secondLogin({ logins: { chances, refused } }: History): Violation[] {
  if (refused <= chances) return [];
  return [{ invariant: 8, what: `${refused} logins were refused, where ${chances} could be` }];
}

/** Names that were given two different values. */
function twice(told: readonly (readonly [string, string])[]): string[] {
  const first = new Map<string, string>();
  const problems = new Set<string>();
  for (const [name, value] of told) {
    const before = first.get(name);
    if (before === undefined) first.set(name, value);
    else if (before !== value) problems.add(name);
  }
  return [...problems];
}

function holds(key: LoadKey, message: string, rs: string): boolean {
  try {
    return verifies(key, message, rs);
  } catch {
    return false;
  }
}

/** Written anew, from its definition: the driver’s own function must not judge itself. */
export function digestOf(keyId: string, message: string): string {
  const hash = createHash('sha256');
  for (const field of [Buffer.from(keyId), Buffer.from(message, 'hex')]) {
    const length = Buffer.alloc(4);
    length.writeUInt32BE(field.length);
    hash.update(length).update(field);
  }
  return hash.digest('hex');
}
