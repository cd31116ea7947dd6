import type { CeremonyFile, CeremonyStep, CeremonyToken } from '../shared/ceremony-file.ts';
import { CodedError } from '../shared/errors.ts';
import { type Curve, curves } from '../shared/keys.ts';
import type { WrapMethod } from '../shared/wrap-algorithms.ts';
import type { KeyName, KeyPurpose } from '../worker/hsm/delivery/keys.ts';
import { uncompressedPoint } from '../worker/hsm/encoding.ts';
import { integrityKeyId, integrityKeyText } from '../worker/hsm/integrity-key-id.ts';
import { examine, type Reference, type TierB } from './examination.ts';
import { explanations } from './explanations.ts';
import { createMasterKeyId, type KeyNames } from './keys.ts';
import { at, each, type Participant } from './participants.ts';
import type { People } from './people.ts';
import { stepEntry } from './protocol-file.ts';
import { tierBRecord } from './records.ts';
import type { MadeKey } from './token-calls.ts';

/** A token that has the keys, however it came to them. */
export interface FilledToken {
  readonly participant: Participant;
  readonly purpose: KeyPurpose;
  readonly wrapMethod: WrapMethod;
  readonly notTaken: readonly string[];
  /** Of a token that was filled by a delivery. */
  readonly transportKeySha256?: string;
}

export interface NewProtocol {
  readonly keyStore: string;
  readonly keysFrom: CeremonyFile['keysFrom'];
  readonly names: KeyNames;
  readonly filled: readonly FilledToken[];
  readonly step: CeremonyStep['step'];
  /** What happened so far. */
  readonly record: readonly string[];
}

/**
 * The protocol of tokens that have just got their keys: attestation key and one canary per curve that all signing tokens
 * can do, made on the first of them; then every token is examined.
 * @throws CEREMONY_REFUSED, MASTER_KEY_OTHER
 */
export async function newProtocol(
  { keyStore, keysFrom, names, filled, step, record: before }: NewProtocol,
  people: People,
): Promise<CeremonyFile> {
  const masterKeyId = createMasterKeyId();
  const record = [...before];
  const note = (line: string): void => {
    record.push(line);
    people.say(line);
  };
  note(`master key ${masterKeyId}`);
  await each(filled.map(withToken), ({ participant, wrapMethod }) =>
    participant.child.ask('use', { names, wrapMethod }),
  );
  const signing = filled.filter(({ purpose }) => purpose === 'signing').map(({ participant }) => participant);
  // Where every signing token is on another machine, the backup token makes them: those tokens must open all of them.
  const makers = signing.length > 0 ? signing : filled.map(({ participant }) => participant);
  const reference = await makeReference(at(makers, 0), await commonCurves(makers, note));
  note(`integrity key ${reference.integrityKeyId}`);
  note(`attestation key: ${reference.attestation.publicKey}`);
  for (const { curve, publicKey } of reference.canaries) note(`canary ${curve}: ${publicKey}`);

  const tiers = await each(filled.map(withToken), ({ participant, purpose, notTaken }) =>
    examine(participant, purpose === 'backup' ? 'backup' : 'signing', reference, notTaken),
  );
  tiers.forEach((tierB, index) => {
    if (tierB !== undefined) note(tierBRecord(at(filled, index).participant, tierB));
  });
  note('every token holds the same keys, and opens and signs with what another wrapped');
  const first = at(filled, 0);
  return {
    version: 2,
    keyStore,
    createdAt: new Date().toISOString(),
    keysFrom,
    ...keyMaterial(names, masterKeyId, first.wrapMethod, reference),
    tokens: filled.map((one, index) => tokenEntry(one, first.wrapMethod, tiers[index])),
    steps: [stepEntry(step, people, record)],
    explanations: [...explanations[keysFrom]],
  };
}

/** A token's entry in the protocol file. @param pinned how the file says that the key store wraps. */
export function tokenEntry(
  { participant, purpose, transportKeySha256, wrapMethod }: FilledToken,
  pinned: WrapMethod,
  tierB: TierB | undefined,
): CeremonyToken {
  const { label, serial, manufacturer, model } = participant.info;
  const { mechanism } = wrapMethod;
  return {
    role: purpose === 'backup' ? 'backup' : 'signing',
    slot: participant.token.name,
    label,
    serial,
    manufacturer,
    model,
    ...(mechanism === pinned.mechanism ? {} : { wrapMechanism: mechanism }),
    ...(transportKeySha256 === undefined ? {} : { transportKeySha256 }),
    ...(tierB === undefined ? {} : { tierB }),
  };
}

/** @throws CEREMONY_REFUSED without P-256 */
export async function commonCurves(
  participants: readonly Participant[],
  note: (line: string) => void,
): Promise<Curve[]> {
  const probed = await each(participants, ({ child }) => child.ask('curves', undefined));
  const common = curves.filter((curve) => probed.every(({ works }) => works.includes(curve)));
  for (const [index, { failures }] of probed.entries()) {
    for (const failure of failures) note(`token ${at(participants, index).token.name} cannot do ${failure}`);
  }
  if (common.includes('P-256')) return common;
  const failures = probed.flatMap((one) => one.failures).join('; ');
  throw new CodedError('CEREMONY_REFUSED', `attestation needs P-256 on every token that makes keys (${failures})`);
}

async function makeReference({ child }: Participant, common: readonly Curve[]): Promise<Reference> {
  const attestation = await child.ask('make', 'P-256');
  const canaries: MadeKey[] = [];
  for (const curve of common) canaries.push(await child.ask('make', curve));
  return { integrityKeyId: integrityKeyId(await child.ask('hmac', integrityKeyText)), attestation, canaries };
}

/** The part of a protocol file that nodes pin. */
export function keyMaterial(
  names: KeyNames,
  masterKeyId: string,
  { algorithm: wrapAlgorithm, mechanism: wrapMechanism }: WrapMethod,
  { attestation, canaries, integrityKeyId: integrityId }: Reference,
): Pick<CeremonyFile, 'masterKey' | 'integrityKey' | 'attestationKey' | 'canaries'> {
  return {
    masterKey: { ...nameOf(names.masterKey), id: masterKeyId, wrapAlgorithm, wrapMechanism },
    integrityKey: { ...nameOf(names.integrityKey), id: integrityId, algorithm: 'HMAC-SHA-256' },
    attestationKey: {
      publicKey: uncompressedPoint('P-256', attestation.publicKey).toString('hex'),
      blob: attestation.blob.toString('base64'),
    },
    canaries: canaries.map(({ curve, publicKey, blob }) => ({ curve, publicKey, blob: blob.toString('base64') })),
  };
}

function nameOf({ label, ckaId }: KeyName): KeyName {
  return { label, ckaId };
}

function withToken(filled: FilledToken) {
  return { ...filled, token: filled.participant.token };
}
