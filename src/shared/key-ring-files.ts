import { readLiveCeremony } from './ceremony-file.ts';
import { CodedError } from './errors.ts';
import { createKeyRing, type KeyRing } from './key-ring.ts';

/** @throws CONFIG_INVALID, CEREMONY_NOT_LIVE naming the file. */
export function readKeyRing(configuration: {
  readonly keyStore: string;
  readonly ceremonyFile: string;
  readonly furtherCeremonyFiles: readonly string[];
}): KeyRing {
  const { keyStore, ceremonyFile, furtherCeremonyFiles } = configuration;
  const ring = createKeyRing(readLiveCeremony(ceremonyFile), furtherCeremonyFiles.map(readLiveCeremony));
  if (ring.keyStore === keyStore) return ring;
  throw new CodedError(
    'CONFIG_INVALID',
    `keyStore is ${keyStore}, but ceremonyFile ${ceremonyFile} is of ${ring.keyStore}`,
  );
}
