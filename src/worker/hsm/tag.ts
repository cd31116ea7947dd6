import { timingSafeEqual } from 'node:crypto';
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
