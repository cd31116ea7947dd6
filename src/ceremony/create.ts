import { existsSync } from 'node:fs';
import type { CeremonyFile, CeremonyToken } from '../shared/ceremony-file.ts';
import type { CeremonyConfiguration, CeremonyTokenConfiguration } from '../shared/configuration/ceremony.ts';
import { CodedError } from '../shared/errors.ts';
import { type Curve, curves } from '../shared/keys.ts';
import { uncompressedPoint } from '../worker/hsm/encoding.ts';
import { integrityKeyId, integrityKeyText } from '../worker/hsm/integrity-key-id.ts';
import { type Delivered, deliverKeys } from './deliver.ts';
import { examine, type Reference } from './examination.ts';
import { explanations } from './explanations.ts';
import { bothKeys, createKeyNames, createMasterKeyId, type KeyNames } from './keys.ts';
import { at, each, type Participant } from './participants.ts';
import type { People } from './people.ts';
import { stepEntry, writeProtocolFile } from './protocol-file.ts';
import { deliveryRecord, tokenRecord } from './records.ts';
import { holdSitting } from './sitting.ts';
import type { MadeKey } from './token-calls.ts';

/**
 * `ceremony create`: one new master key and one new integrity key. The backup token makes them; they are delivered to it
 * and to every signing token of the configuration (deliver.ts). Then the attestation key and one canary per curve that all
 * signing tokens can do are made, every token is examined, and the protocol file is written, which holds no secret.
 * @throws CEREMONY_REFUSED, and what opening a token throws. Nothing is left on any token then.
 */
export async function createKeyStore(configuration: CeremonyConfiguration, people: People): Promise<CeremonyFile> {
  const { keyStore, ceremonyFile, tokens } = configuration;
  if (existsSync(ceremonyFile)) {
    throw new CodedError(
      'CEREMONY_REFUSED',
      `${ceremonyFile} exists: this key store has its keys. Another ceremony needs another file`,
    );
  }
  const backup = backupOf(configuration);
  return await holdSitting([backup, ...tokens], async (participants) => {
    for (const participant of participants) people.say(tokenRecord(participant));
    const names = tokens.map(({ name }) => name).join(', ');
    await people.agree(
      `Make new keys for key store ${keyStore} on backup token ${backup.name}, and put them on ${names}?`,
    );
    const file = await make(configuration, participants, people);
    const sha256 = writeProtocolFile(ceremonyFile, file);
    people.say(`protocol file ${ceremonyFile}, SHA-256 ${sha256}`);
    return file;
  });
}

/** @throws CEREMONY_REFUSED: without a backup token no HSM can ever be added. */
export function backupOf({ backup }: CeremonyConfiguration): CeremonyTokenConfiguration {
  if (backup !== undefined) return backup;
  throw new CodedError(
    'CEREMONY_REFUSED',
    'the configuration names no backup token: without one, no HSM can ever be added to the key store',
  );
}

async function make(
  { keyStore }: CeremonyConfiguration,
  participants: readonly Participant[],
  people: People,
): Promise<CeremonyFile> {
  const origin = at(participants, 0);
  const signing = participants.slice(1);
  const names = createKeyNames(keyStore);
  const masterKeyId = createMasterKeyId();
  const record = participants.map(tokenRecord);
  const note = (line: string): void => {
    record.push(line);
    people.say(line);
  };
  note(`master key ${masterKeyId}, made on ${origin.token.name}`);

  const delivered = await deliverKeys(
    {
      origin,
      targets: participants.map((participant) => ({
        participant,
        purpose: participant === origin ? 'backup' : 'signing',
      })),
      keys: bothKeys(names),
      source: 'new',
    },
    people,
  );
  for (const one of delivered) note(deliveryRecord(one, people));
  note(`both keys are on ${participants.length} tokens`);

  await each(participants, ({ child }, index) =>
    child.ask('use', { names, wrapMethod: at(delivered, index).wrapMethod }),
  );
  const common = await commonCurves(signing, note);
  const reference = await makeReference(at(signing, 0), common);
  note(`integrity key ${reference.integrityKeyId}`);
  note(`attestation key: ${reference.attestation.publicKey}`);
  for (const { curve, publicKey } of reference.canaries) note(`canary ${curve}: ${publicKey}`);

  const notEnforced = await each(participants, (participant, index) =>
    examine(participant, participant === origin ? 'backup' : 'signing', reference, at(delivered, index).notTaken),
  );
  note('every token holds the same keys, and opens and signs with what another wrapped');
  return {
    version: 2,
    keyStore,
    createdAt: new Date().toISOString(),
    ...keyMaterial(names, masterKeyId, at(delivered, 0), reference),
    tokens: delivered.map((one, index) => tokenEntry(one, at(delivered, 0), at(notEnforced, index))),
    steps: [stepEntry('create', people, record)],
    explanations: [...explanations],
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
  throw new CodedError('CEREMONY_REFUSED', `attestation needs P-256 on every signing token (${failures})`);
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
  { wrapMethod }: Delivered,
  { attestation, canaries, integrityKeyId: integrityId }: Reference,
): Pick<CeremonyFile, 'masterKey' | 'integrityKey' | 'attestationKey' | 'canaries'> {
  const { algorithm: wrapAlgorithm, mechanism: wrapMechanism } = wrapMethod;
  return {
    masterKey: { id: masterKeyId, ...names.masterKey, wrapAlgorithm, wrapMechanism },
    integrityKey: { id: integrityId, ...names.integrityKey, algorithm: 'HMAC-SHA-256' },
    attestationKey: {
      publicKey: uncompressedPoint('P-256', attestation.publicKey).toString('hex'),
      blob: attestation.blob.toString('base64'),
    },
    canaries: canaries.map(({ curve, publicKey, blob }) => ({ curve, publicKey, blob: blob.toString('base64') })),
  };
}

/** A token's entry in the protocol file. @param pinned how the file says that the key store wraps. */
export function tokenEntry(
  { participant, purpose, transportKeySha256, wrapMethod }: Delivered,
  pinned: Pick<Delivered, 'wrapMethod'>,
  notEnforced: readonly string[],
): CeremonyToken {
  const { label, serial, manufacturer, model } = participant.info;
  const { mechanism } = wrapMethod;
  const own = mechanism === pinned.wrapMethod.mechanism ? {} : { wrapMechanism: mechanism };
  return {
    role: purpose === 'backup' ? 'backup' : 'signing',
    slot: participant.token.name,
    label,
    serial,
    manufacturer,
    model,
    ...own,
    transportKeySha256,
    notEnforced: [...notEnforced],
  };
}
