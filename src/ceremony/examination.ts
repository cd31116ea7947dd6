import { CodedError } from '../shared/errors.ts';
import { integrityKeyId, integrityKeyText } from '../worker/hsm/integrity-key-id.ts';
import type { KeyPurpose } from './keys.ts';
import type { Participant } from './participants.ts';
import type { MadeKey } from './token-calls.ts';

/** What a token must show that has the key store's keys in use. */
export interface Reference {
  readonly integrityKeyId: string;
  readonly attestation: MadeKey;
  readonly canaries: readonly MadeKey[];
}

/**
 * Whether a token holds these very keys, and what it lets be done with them.
 * @param notTaken attributes that the token did not take.
 * @returns what it does not enforce of the master key's template: empty, or tier B where the configuration allows it.
 * @throws CEREMONY_REFUSED, MASTER_KEY_OTHER
 */
export async function examine(
  participant: Participant,
  purpose: Exclude<KeyPurpose, 'rotation'>,
  reference: Reference,
  notTaken: readonly string[] = [],
): Promise<readonly string[]> {
  const { child, token } = participant;
  const { integrityKeyId: expected } = reference;
  const found = integrityKeyId(await child.ask('hmac', integrityKeyText));
  if (found !== expected) {
    throw new CodedError(
      'MASTER_KEY_OTHER',
      `the integrity key on this token is ${found}, the ceremony’s is ${expected}`,
    );
  }
  // A backup token need not know every curve that the signing tokens have.
  const keys = purpose === 'signing' ? allKeys(reference) : await keysItKnows(participant, reference);
  for (const key of keys) await child.ask('prove', key);

  const deliverable = await child.ask('deliverable', undefined);
  if (purpose === 'signing' && deliverable.length > 0) {
    throw new CodedError('CEREMONY_REFUSED', `a signing token gives out its ${deliverable.join(' and its ')}`);
  }
  if (purpose === 'backup' && deliverable.length < 2) {
    throw new CodedError('CEREMONY_REFUSED', 'the backup token cannot wrap its keys for another token');
  }

  const allowed = new Set(notTaken.map((name) => `${name} is not taken`));
  for (const key of keys) for (const what of await child.ask('strictness', key)) allowed.add(what);
  if (allowed.size > 0 && !token.allowTierB) {
    const list = [...allowed].join('; ');
    throw new CodedError(
      'CEREMONY_REFUSED',
      `the token does not enforce the master key’s template: ${list}. It is of tier B, which the configuration does not allow (allowTierB)`,
    );
  }
  return [...allowed];
}

function allKeys({ attestation, canaries }: Reference): readonly MadeKey[] {
  return [attestation, ...canaries];
}

async function keysItKnows({ child }: Participant, reference: Reference): Promise<readonly MadeKey[]> {
  const { works, failures } = await child.ask('curves', undefined);
  const keys = allKeys(reference).filter(({ curve }) => works.includes(curve));
  if (keys.length > 0) return keys;
  throw new CodedError('CEREMONY_REFUSED', `the token can open no canary (${failures.join('; ')})`);
}
