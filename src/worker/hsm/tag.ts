import { timingSafeEqual } from 'node:crypto';
import { CodedError } from '../../shared/errors.ts';
import { tagMessage, type WrappedKey } from '../wrapped-key.ts';
import type { Workbench } from './workbench.ts';

/**
 * Made anew and compared here: some tokens' C_Verify accepts a truncated MAC.
 * @throws KEY_NOT_ON_SLOT, Pkcs11Fault
 */
export function tagHolds(
  bench: Pick<Workbench, 'tag'>,
  integrityKeyId: string,
  message: Buffer,
  stored: Buffer,
): boolean {
  const made = bench.tag(integrityKeyId, message);
  return stored.length === made.length && timingSafeEqual(stored, made);
}

/** @throws KEY_UNUSABLE, KEY_NOT_ON_SLOT, Pkcs11Fault */
export function requireTag(bench: Pick<Workbench, 'tag'>, row: WrappedKey): void {
  if (tagHolds(bench, row.integrityKeyId, tagMessage(row), row.tag)) return;
  throw new CodedError('KEY_UNUSABLE', `the tag of key ${row.keyId} does not hold`);
}

/** The row with the tag of the integrity key that it names. */
export function tagged(bench: Pick<Workbench, 'tag'>, row: WrappedKey): WrappedKey {
  return { ...row, tag: bench.tag(row.integrityKeyId, tagMessage(row)) };
}
