import type { KeyObject } from 'node:crypto';
import { readCeremonyFile } from '../shared/ceremony-file.ts';
import { attestationPublicKey } from '../shared/crypto/attestation.ts';

/** What verification needs beside the export: what the ceremony file pins. */
export interface Pinned {
  readonly keyStore: string;
  readonly attestationKey: KeyObject;
}

/** @throws CONFIG_INVALID */
export function pinnedByCeremony(file: string): Pinned {
  const { keyStore, attestationKey } = readCeremonyFile(file);
  return { keyStore, attestationKey: attestationPublicKey(attestationKey.publicKey) };
}
