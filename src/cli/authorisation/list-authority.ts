import { readCeremonyFile } from '../../shared/ceremony-file.ts';
import type { DriverConfiguration } from '../../shared/configuration/driver.ts';
import type { ListAuthority } from '../../shared/credential-list/stored-lists.ts';
import { attestationPublicKey } from '../../shared/crypto/attestation.ts';
import { readOperators } from '../../shared/orders/operators.ts';

/** By whose word the nodes of this configuration believe a list. @throws CONFIG_INVALID */
export function listAuthority(
  configuration: Pick<DriverConfiguration, 'keyStore' | 'operators' | 'ceremonyFile'>,
): ListAuthority {
  const { keyStore, operators, ceremonyFile } = configuration;
  const { attestationKey } = readCeremonyFile(ceremonyFile);
  return {
    keyStore,
    operators: operators && readOperators(operators),
    attestationKey: attestationPublicKey(attestationKey.publicKey),
  };
}
