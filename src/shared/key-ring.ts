import { isDeepStrictEqual } from 'node:util';
import type { CeremonyFile } from './ceremony-file.ts';
import { CodedError } from './errors.ts';

/**
 * The keys of a key store that are alive at once. There is one set except while a key is rotated: then rows are wrapped by
 * the old master key or by the new one (or tagged by either integrity key), each row says by which, and every slot serves
 * both. Each set is a ceremony file of its own; the attestation key is the same in all, wrapped by each master key.
 */
export interface KeyRing {
  readonly keyStore: string;
  /** New keys are wrapped and tagged by its keys. */
  readonly current: CeremonyFile;
  /** Older and coming ones. */
  readonly further: readonly CeremonyFile[];
}

/** @throws CONFIG_INVALID when the files contradict each other: an id is one key, and the API pins one attestation key. */
export function createKeyRing(current: CeremonyFile, further: readonly CeremonyFile[] = []): KeyRing {
  const all = [current, ...further];
  for (const [at, one] of all.entries()) {
    const named = `furtherCeremonyFiles: the file of ${one.masterKey.id} and ${one.integrityKey.id}`;
    if (one.keyStore !== current.keyStore) {
      throw new CodedError('CONFIG_INVALID', `${named} is of key store ${one.keyStore}, not ${current.keyStore}`);
    }
    if (one.attestationKey.publicKey !== current.attestationKey.publicKey) {
      throw new CodedError('CONFIG_INVALID', `${named} has another attestation key; it stays the same in a rotation`);
    }
    for (const other of all.slice(0, at)) refuseContradiction(named, one, other);
  }
  return { keyStore: current.keyStore, current, further };
}

function refuseContradiction(named: string, one: CeremonyFile, other: CeremonyFile): void {
  for (const kind of ['masterKey', 'integrityKey'] as const) {
    if (one[kind].id === other[kind].id && !isDeepStrictEqual(one[kind], other[kind])) {
      throw new CodedError('CONFIG_INVALID', `${named} describes ${one[kind].id} otherwise than another file does`);
    }
  }
  if (one.masterKey.id === other.masterKey.id && one.integrityKey.id === other.integrityKey.id) {
    throw new CodedError('CONFIG_INVALID', `${named} is named twice`);
  }
}

/** One file for each master key, the current one first. */
export function masterKeysOf(ring: KeyRing): readonly CeremonyFile[] {
  return firstOfEach(ring, ({ masterKey }) => masterKey.id);
}

/** One file for each integrity key, the current one first. */
export function integrityKeysOf(ring: KeyRing): readonly CeremonyFile[] {
  return firstOfEach(ring, ({ integrityKey }) => integrityKey.id);
}

/** The number under which a token of the ceremony wraps. */
export function wrapMechanismOn({ masterKey, tokens }: CeremonyFile, serial: string): number {
  return tokens.find((one) => one.serial === serial)?.wrapMechanism ?? masterKey.wrapMechanism;
}

function firstOfEach({ current, further }: KeyRing, idOf: (file: CeremonyFile) => string): CeremonyFile[] {
  const all = [current, ...further];
  return all.filter((file, at) => all.findIndex((other) => idOf(other) === idOf(file)) === at);
}
