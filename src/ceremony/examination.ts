import type { CeremonyToken } from '../shared/ceremony-file.ts';
import { CodedError } from '../shared/errors.ts';
import type { KeyKind, KeyPurpose } from '../worker/hsm/delivery/keys.ts';
import { integrityKeyId, integrityKeyText } from '../worker/hsm/integrity-key-id.ts';
import type { KeyFlaws } from '../worker/hsm/key-attributes.ts';
import type { Participant } from './participants.ts';
import type { MadeKey } from './token-calls.ts';

/** What a token must show that has the key store's keys in use. */
export interface Reference {
  readonly integrityKeyId: string;
  readonly attestation: MadeKey;
  readonly canaries: readonly MadeKey[];
}

export type TierB = NonNullable<CeremonyToken['tierB']>;

/**
 * Whether a token holds these very keys, and what it lets be done with them. Changes nothing on it.
 * @param notTaken attributes that the token did not take when it received the keys.
 * @returns undefined when it enforces the keys' template; else in what it is lax, where the configuration allows that.
 * @throws CEREMONY_REFUSED, MASTER_KEY_OTHER
 */
export async function examine(
  participant: Participant,
  purpose: Exclude<KeyPurpose, 'rotation'>,
  reference: Reference,
  notTaken: readonly string[] = [],
): Promise<TierB | undefined> {
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
  await examineDelivery(participant, purpose);

  const { masterKey, integrityKey } = await child.ask('attributes', purpose);
  refuseUnfit('master key', masterKey);
  refuseUnfit('integrity key', integrityKey);
  const missing = [...new Set([...notTaken, ...masterKey.tierB, ...integrityKey.tierB])];
  const allows = new Set<string>();
  for (const key of keys) for (const what of await child.ask('strictness', key)) allows.add(what);
  if (missing.length === 0 && allows.size === 0) return undefined;
  if (token.allowTierB) return { notTaken: missing, allows: [...allows] };
  const list = [...missing.map((name) => `no ${name}`), ...[...allows].map((what) => `it allows ${what}`)];
  throw new CodedError(
    'CEREMONY_REFUSED',
    `the token does not enforce the keys’ template (${list.join('; ')}): it is of tier B, which the configuration does not allow (allowTierB)`,
  );
}

function refuseUnfit(kind: KeyKind, { unfit }: KeyFlaws): void {
  if (unfit.length > 0)
    throw new CodedError('CEREMONY_REFUSED', `the ${kind} on the token has wrong values of ${unfit.join(', ')}`);
}

/** Extractable on the backup token, and nowhere else. */
async function examineDelivery({ child }: Participant, purpose: KeyPurpose): Promise<void> {
  const deliverable = await child.ask('deliverable', undefined);
  if (purpose === 'signing' && deliverable.length > 0) {
    throw new CodedError('CEREMONY_REFUSED', `a signing token gives out its ${deliverable.join(' and its ')}`);
  }
  if (purpose === 'backup' && deliverable.length < 2) {
    throw new CodedError('CEREMONY_REFUSED', 'the backup token cannot wrap its keys for another token');
  }
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
