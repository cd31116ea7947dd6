import type { CeremonyFile } from '../shared/ceremony-file.ts';
import { type Finding, good, warning } from './check.ts';

/** What the protocol file says about surviving the loss of an HSM. */
export function ceremonyFindings({ keyStore, masterKey, tokens }: CeremonyFile): readonly Finding[] {
  const found = `key store ${keyStore}, master key ${masterKey.id}, ${tokens.length} token${tokens.length === 1 ? '' : 's'}`;
  const unauthenticated =
    masterKey.wrapAlgorithm === 'CBC_PAD'
      ? [
          warning(
            'keys are wrapped by CBC_PAD, which is not authenticated: only the rows’ tags show a change',
            'Use an HSM that can wrap by RFC 5649 or AES-GCM',
          ),
        ]
      : [];
  const alone =
    tokens.length > 1
      ? [good(found)]
      : [warning(`${found}: its loss stops all signing`, 'Fill a second HSM, at another place')];
  return [...alone, ...unauthenticated];
}
