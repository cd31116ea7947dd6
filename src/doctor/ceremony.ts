import type { CeremonyFile } from '../shared/ceremony-file.ts';
import { type Finding, good, problem, warning } from './check.ts';

/** What the protocol file says about surviving the loss of an HSM, and about whether nodes may work with it. */
export function ceremonyFindings(file: CeremonyFile): readonly Finding[] {
  const { keyStore, masterKey, tokens, keysFrom } = file;
  const signing = tokens.filter(({ role, retiredAt }) => role === 'signing' && retiredAt === undefined);
  const backup = tokens.some(({ role, retiredAt }) => role === 'backup' && retiredAt === undefined);
  const named = `key store ${keyStore}, master key ${masterKey.id}`;
  return [
    good(named),
    liveness(file),
    signing.length > 1
      ? good(`${signing.length} signing tokens hold it`)
      : warning('one signing token holds it: its loss stops all signing', 'Fill a second HSM, at another place'),
    backup || keysFrom === 'vendor tools'
      ? good(backup ? 'a backup token can fill further HSMs' : 'the vendor’s tools can fill further HSMs')
      : warning(
          'there is no backup token: no HSM can ever be added',
          'Rotate to a master key that a backup token holds',
        ),
    ...(masterKey.wrapAlgorithm === 'CBC_PAD'
      ? [
          warning(
            'keys are wrapped by CBC_PAD, which is not authenticated: only the rows’ tags show a change',
            'Use an HSM that can wrap by RFC 5649 or AES-GCM',
          ),
        ]
      : []),
  ];
}

function liveness({ live }: CeremonyFile): Finding {
  if (live === undefined)
    return problem(
      'the ceremony has not gone live: no node works with it',
      'Run ceremony check, then ceremony go-live',
    );
  if (!live.rehearsal) return good(`live since ${live.at}`);
  return warning(
    'these keys went live as a rehearsal',
    'Hold the ceremony with two people before they protect anything of value',
  );
}

/** What further protocol files add: rows under their keys are served too, by slots whose token holds them. */
export function furtherFindings(files: readonly CeremonyFile[]): readonly Finding[] {
  return files.flatMap((file) => [
    good(`rows under master key ${file.masterKey.id} and integrity key ${file.integrityKey.id} are served too`),
    liveness(file),
  ]);
}

/** Of each further protocol file: whether it knows this token. A slot that lacks a key works on, for other rows. */
export function furtherTokenFindings(files: readonly CeremonyFile[], serial: string): readonly Finding[] {
  return files
    .filter(({ tokens }) => !tokens.some((one) => one.serial === serial && one.retiredAt === undefined))
    .map(({ masterKey }) =>
      warning(
        `the protocol file of ${masterKey.id} does not name this token: rows under that key go to other slots`,
        'Add the token in a ceremony, or take the file out of furtherCeremonyFiles once no row is under its keys',
      ),
    );
}

/** Whether the ceremony knows this token, and what the token cannot stop. */
export function tokenFinding({ tokens }: Pick<CeremonyFile, 'tokens'>, serial: string): Finding {
  const token = tokens.find((one) => one.serial === serial);
  if (token === undefined)
    return problem(
      `the protocol file does not name a token with serial ${serial}`,
      'Point the slot at a token of this key store, or add this one in a ceremony',
    );
  if (token.tierB === undefined)
    return good('the ceremony filled this token, which enforces the master key’s template');
  const { allows, notTaken } = token.tierB;
  const lax = [...allows, ...notTaken.map((name) => `no ${name}`)].join('; ');
  return warning(
    `tier B: whoever has the PIN and a wrapped key can extract that key (${lax})`,
    'Guard PIN file and database together, or use an HSM that enforces the template',
  );
}
