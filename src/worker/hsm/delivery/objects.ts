import { CodedError } from '../../../shared/errors.ts';
import { CKA } from '../constants.ts';
import type { Cryptoki, Handle } from '../module.ts';
import { labelSearch, secretKeySearch } from '../templates.ts';
import type { Token } from '../token.ts';
import type { CeremonyKey } from './keys.ts';

/** Finding what ceremonies put on a token, and nothing else. */

/** How many objects of whatever class carry the label; looks no further than two. */
export function countLabelled(cryptoki: Cryptoki, session: Handle, label: string): number {
  return cryptoki.find(session, labelSearch(label), 2).length;
}

/** Every object with one of these keys' ids. The ids are random: nothing of another ceremony is found. */
export function objectsOf(cryptoki: Cryptoki, session: Handle, keys: readonly CeremonyKey[]): Handle[] {
  return keys.flatMap(({ ckaId }) => cryptoki.find(session, [{ type: CKA.ID, value: Buffer.from(ckaId, 'hex') }], 10));
}

/** The one object that is this key. @throws MASTER_KEY_MISSING when there is none, or more than one */
export function findStored(
  cryptoki: Cryptoki,
  { info }: Token,
  session: Handle,
  { kind, label, ckaId }: CeremonyKey,
): Handle {
  const [found, second] = cryptoki.find(session, secretKeySearch(label, ckaId), 2);
  if (found !== undefined && second === undefined) return found;
  const many = found === undefined ? 'there is no' : 'there is more than one';
  throw new CodedError(
    'MASTER_KEY_MISSING',
    `${many} ${kind} (CKA_LABEL “${label}”, CKA_ID ${ckaId}) on token “${info.label}” (${info.serial})`,
  );
}
