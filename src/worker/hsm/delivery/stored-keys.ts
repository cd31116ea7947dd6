import type { WrapMethod } from '../../../shared/wrap-algorithms.ts';
import { CKA } from '../constants.ts';
import { Pkcs11Fault } from '../fault.ts';
import type { Cryptoki, Handle } from '../module.ts';
import type { CeremonyKey, KeyPurpose } from './keys.ts';
import { type NestedAttribute, unwrapWithNestedTemplate } from './nested-template.ts';
import { storedIntegrityKey, storedMasterKey } from './templates.ts';
import { type Delivery, oaep } from './transport.ts';

/** What a token is given, to keep. */
export interface Receipt {
  readonly delivery: Delivery;
  readonly keys: readonly CeremonyKey[];
  readonly purpose: KeyPurpose;
  /** How the master key will wrap. */
  readonly wrapMethod: WrapMethod;
  /** Whether the token may leave out attributes that it does not know. */
  readonly allowTierB: boolean;
}

export interface Received {
  /** Attributes of the master key's template that the token did not take; only where it may. */
  readonly notTaken: readonly string[];
}

/** A key that was unwrapped, and what the token would not take of its template. */
export interface StoredKey extends Received {
  readonly handle: Handle;
}

/** C_UnwrapKey of delivered keys, to stay on the token. @throws Pkcs11Fault when the token takes a key in no form. */
export function storeKeys(
  cryptoki: Cryptoki,
  module: string,
  session: Handle,
  transportPrivateKey: Handle,
  { delivery, keys, purpose, wrapMethod, allowTierB }: Receipt,
): Received {
  const mechanism = oaep(delivery.hash);
  const notTaken: string[] = [];
  keys.forEach((key: CeremonyKey, index) => {
    const blob = Buffer.from(delivery.blobs[index] ?? []);
    switch (key.kind) {
      case 'master key': {
        const template = storedMasterKey(key, wrapMethod.mechanism, purpose);
        const unwrap = (one: readonly NestedAttribute[]): Handle =>
          unwrapWithNestedTemplate(module, session, mechanism, transportPrivateKey, blob, one);
        if (allowTierB) notTaken.push(...takeWhatItCan(template, unwrap).notTaken);
        else unwrap(template);
        return;
      }
      case 'integrity key':
        cryptoki.unwrapKey(session, mechanism, transportPrivateKey, blob, storedIntegrityKey(key, purpose));
        return;
      default:
        key.kind satisfies never;
    }
  });
  return { notTaken };
}

/** From the strictest template down, each step leaving out what some tokens do not know. */
const leftOut: readonly (readonly [string, number])[] = [
  ['CKA_UNWRAP_TEMPLATE', CKA.UNWRAP_TEMPLATE],
  ['CKA_COPYABLE', CKA.COPYABLE],
  ['CKA_ALLOWED_MECHANISMS', CKA.ALLOWED_MECHANISMS],
  ['CKA_MODIFIABLE', CKA.MODIFIABLE],
];

/** Nothing, each one alone, then more and more of them. */
const withouts = [
  [],
  ...leftOut.map((one) => [one]),
  ...leftOut.slice(1).map((_one, index) => leftOut.slice(0, index + 2)),
];

/**
 * The master key under as much of its template as the token takes. A refusal that is no word on the template (a device
 * that was busy) must be given twice: it would leave a key with less protection than the token has.
 * @throws the last refusal.
 */
export function takeWhatItCan(
  template: readonly NestedAttribute[],
  unwrap: (template: readonly NestedAttribute[]) => Handle,
): StoredKey {
  let refusal: unknown;
  for (const without of withouts) {
    const types = without.map(([, type]) => type);
    try {
      const handle = twiceIfUnclear(() => unwrap(template.filter(({ type }) => !types.includes(type))));
      return { handle, notTaken: without.map(([name]) => name) };
    } catch (error) {
      if (!isRefusal(error)) throw error;
      refusal = error;
    }
  }
  throw refusal;
}

/** Vendors refuse templates with codes of their own, which count as the device's. */
function isRefusal(error: unknown): error is Pkcs11Fault {
  if (!(error instanceof Pkcs11Fault) || error.ckr.gone === true) return false;
  return error.ckr.class === 'request' || error.ckr.class === 'device';
}

function twiceIfUnclear<Value>(attempt: () => Value): Value {
  try {
    return attempt();
  } catch (error) {
    if (isRefusal(error) && error.ckr.class === 'device') return attempt();
    throw error;
  }
}
