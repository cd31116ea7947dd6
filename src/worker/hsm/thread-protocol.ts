import type { NamedHead } from '../../shared/audit/head.ts';
import type { SlotConfiguration } from '../../shared/configuration/sections.ts';
import type { ErrorCode } from '../../shared/errors.ts';
import type { KeyRing } from '../../shared/key-ring.ts';
import type { KeyType } from '../../shared/keys.ts';
import type { Order } from '../../shared/orders/order.ts';
import type { WrappedKey } from '../wrapped-key.ts';
import type { CallCells } from './call-clock.ts';
import type { SlotPurpose } from './held-keys.ts';
import type { KeyToInspect } from './inspect-key.ts';
import type { GeneratedKey, GenerateKeyJob, HsmResult, SignAnswer } from './jobs.ts';
import type { LoginGuard } from './login-guard.ts';
import type { KeyToMark } from './mark-key.ts';
import type { TokenInfo } from './module.ts';
import type { Proof } from './probe.ts';
import type { Armament } from './workbench.ts';

/**
 * The messages between a worker's main thread and its session threads. Bytes travel as latin1 text: a cloned Buffer would
 * take along the whole pool it is a view of.
 */

/** Given to a thread at its birth. */
export interface ThreadData {
  readonly slot: SlotConfiguration;
  readonly ring: KeyRing;
  readonly purpose: SlotPurpose;
  readonly guard: LoginGuard;
  readonly calls: CallCells;
  /** This thread's cell. */
  readonly index: number;
}

export type WireBytes = string;
export const toWire = (bytes: Uint8Array): WireBytes => asBuffer(bytes).toString('latin1');
export const fromWire = (text: WireBytes): Buffer => Buffer.from(text, 'latin1');

/** Bytes that were cloned between threads arrive as a plain Uint8Array. */
export function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

export function withBuffers(row: WrappedKey): WrappedKey {
  return { ...row, blob: asBuffer(row.blob), tag: asBuffer(row.tag) };
}

export interface WireSignJob {
  readonly keyId: string;
  readonly type: KeyType;
  readonly publicKey: string;
  readonly masterKeyId: string;
  readonly blob: WireBytes;
  /** Per request, its digests. */
  readonly requests: readonly (readonly WireBytes[])[];
}

export interface WireTag {
  readonly integrityKeyId: string;
  readonly message: WireBytes;
  readonly tag: WireBytes;
}

export interface Opened {
  readonly token: TokenInfo;
  readonly countLow: boolean;
}

/** What a thread can be asked, and what it answers. */
export interface ThreadCalls {
  /** C_Initialize and the search for the token: all that may be done before a login is allowed. */
  select: { ask: undefined; answer: TokenInfo };
  open: { ask: undefined; answer: Opened };
  prove: { ask: undefined; answer: Proof };
  arm: { ask: Armament; answer: undefined };
  generate: { ask: readonly GenerateKeyJob[]; answer: readonly HsmResult<GeneratedKey>[] };
  sign: { ask: readonly WireSignJob[]; answer: readonly SignAnswer[] };
  'check-tags': { ask: readonly WireTag[]; answer: readonly HsmResult<boolean>[] };
  rewrap: { ask: readonly WrappedKey[]; answer: readonly HsmResult<WrappedKey>[] };
  retag: { ask: readonly WrappedKey[]; answer: readonly HsmResult<WrappedKey>[] };
  /** The session thread makes the message: it signs nothing that it was only given the hash of. */
  'sign-head': { ask: Omit<NamedHead, 'keyStore'>; answer: HsmResult<string> };
  /** Here too the thread makes the message. */
  'attest-order': { ask: Order; answer: HsmResult<string> };
  /** The device is in doubt: no wallet key stays unwrapped. */
  'close-keys': { ask: undefined; answer: undefined };
  inspect: { ask: readonly KeyToInspect[]; answer: readonly HsmResult<readonly string[]>[] };
  mark: { ask: readonly KeyToMark[]; answer: readonly HsmResult<WrappedKey>[] };
  probe: { ask: undefined; answer: HsmResult<undefined> };
  close: { ask: undefined; answer: undefined };
}
export type CallName = keyof ThreadCalls;

export type ThreadCall = {
  [Name in CallName]: { readonly id: number; readonly name: Name; readonly ask: ThreadCalls[Name]['ask'] };
}[CallName];

export type ThreadAnswer =
  | { readonly id: number; readonly ok: true; readonly value: unknown }
  | { readonly id: number; readonly ok: false; readonly code: ErrorCode; readonly detail: string };

/** The first message of a thread: its code is loaded, no PKCS#11 function was called yet. */
export const loadedMessage = 'loaded';
