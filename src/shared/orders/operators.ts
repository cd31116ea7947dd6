import { createPublicKey, type KeyObject } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { OperatorsConfiguration } from '../configuration/sections.ts';
import { CodedError } from '../errors.ts';

/** The operators' public keys, as the configuration names them. */
export interface Operators {
  /** So many of them must sign. */
  readonly threshold: number;
  readonly keys: ReadonlyMap<string, KeyObject>;
}

/** @throws CONFIG_INVALID for a key that cannot be read, is of another type, or stands there twice. */
export function readOperators({ threshold, keys }: OperatorsConfiguration): Operators {
  const read = new Map(keys.map(({ name, publicKeyFile }) => [name, readOperatorKey(name, publicKeyFile)]));
  // Two names for one key would let one person count twice. What is compared is the key: one EC key has several files,
  // with its point compressed or not.
  for (const [name, key] of read)
    for (const [other, otherKey] of read) {
      if (other === name) break;
      if (key.equals(otherKey)) throw invalid(`${other} and ${name} have the same key`);
    }
  return { threshold, keys: read };
}

/** What kinds of keys operators may have; both are what smart cards and openssl have too. */
export function isOperatorKey({ asymmetricKeyType, asymmetricKeyDetails }: KeyObject): boolean {
  if (asymmetricKeyType === 'ed25519') return true;
  return asymmetricKeyType === 'ec' && asymmetricKeyDetails?.namedCurve === 'prime256v1';
}

function readOperatorKey(name: string, file: string): KeyObject {
  let key: KeyObject;
  try {
    const pem = readFileSync(file, 'utf8');
    // createPublicKey would take a private key too, and nobody should put one here.
    if (!/^\s*-----BEGIN PUBLIC KEY-----/.test(pem)) throw new Error('not a public key in PEM');
    key = createPublicKey(pem);
  } catch (cause) {
    throw invalid(`publicKeyFile ${file} of ${name} cannot be read (${(cause as Error).message})`, cause);
  }
  if (!isOperatorKey(key)) throw invalid(`publicKeyFile ${file} of ${name} is neither Ed25519 nor P-256`);
  return key;
}

function invalid(why: string, cause?: unknown): CodedError {
  return new CodedError('CONFIG_INVALID', `operators: ${why}`, { cause });
}
