import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import type { CeremonyFile, CeremonyStep } from '../shared/ceremony-file.ts';
import type { CeremonyConfiguration, CeremonyTokenConfiguration } from '../shared/configuration/ceremony.ts';
import { CodedError } from '../shared/errors.ts';
import type { KeyKind } from '../worker/hsm/delivery/keys.ts';
import { integrityKeyId, integrityKeyText } from '../worker/hsm/integrity-key-id.ts';
import { refuseStranger } from './add-token.ts';
import { backupOf } from './create.ts';
import { type Delivered, deliverKeys } from './deliver.ts';
import { examine, type Reference } from './examination.ts';
import { explanations } from './explanations.ts';
import { bothKeys, createMasterKeyId, type KeyNames } from './keys.ts';
import { commonCurves, keyMaterial, tokenEntry } from './new-protocol.ts';
import { at, each, type Participant } from './participants.ts';
import type { People } from './people.ts';
import { pinnedMethod, referenceOf } from './pinned.ts';
import { type Protocol, readProtocol, stepEntry, writeProtocolFile } from './protocol-file.ts';
import { deliveryRecord, tierBRecord, tokenRecord } from './records.ts';
import { holdSitting } from './sitting.ts';
import type { MadeKey } from './token-calls.ts';

/** Who takes part, as the steps below need them. */
interface Party {
  readonly origin: Participant;
  /** Only for a new master key: its token is filled here too. */
  readonly rotation: Participant | undefined;
  readonly signing: readonly Participant[];
  readonly all: readonly Participant[];
}

interface NewKey {
  readonly names: KeyNames;
  readonly masterKeyId: string;
  readonly delivered: readonly Delivered[];
}

/**
 * `ceremony next-master-key` and `next-integrity-key`: the key that a rotation will move to, beside the one in use. The
 * backup token makes it and delivers it like the first (deliver.ts); the other key and the attestation key stay the same.
 * For a new master key the rotation token is filled as well: with the new keys, and with the old master key as the object
 * that opens keys for the new one to wrap. The attestation key is wrapped anew there. The result is a protocol file of its
 * own, to be checked and to go live like the first.
 * @throws CEREMONY_REFUSED, and what opening a token throws. What this put on tokens is removed then.
 */
export async function makeNextKey(
  configuration: CeremonyConfiguration,
  kind: KeyKind,
  nextFile: string,
  people: People,
): Promise<CeremonyFile> {
  if (existsSync(nextFile)) throw new CodedError('CEREMONY_REFUSED', `${nextFile} exists already`);
  const protocol = readProtocol(configuration.ceremonyFile);
  const { content } = protocol;
  if (content.live === undefined) throw new CodedError('CEREMONY_REFUSED', `${content.masterKey.id} is not live yet`);
  const backup = backupOf(configuration);
  const rotation = kind === 'master key' ? [rotationOf(configuration)] : [];
  return await holdSitting([backup, ...rotation, ...configuration.tokens], configuration, async (all) => {
    const party: Party = {
      origin: at(all, 0),
      rotation: rotation.length === 0 ? undefined : at(all, 1),
      signing: all.slice(1 + rotation.length),
      all,
    };
    refuseStranger(content, party.origin.info.serial, backup.name);
    refuseIncomplete(content, party.signing);
    for (const one of all) people.say(tokenRecord(one));
    const names = party.signing.map(({ token }) => token.name).join(', ');
    await people.agree(`Make a new ${kind} for key store ${content.keyStore} on ${backup.name}, for ${names}?`);
    const next = await make(kind, protocol, party, people);
    people.say(`protocol file ${nextFile}, SHA-256 ${writeProtocolFile(nextFile, next)}`);
    return next;
  });
}

function rotationOf({ rotation }: CeremonyConfiguration): CeremonyTokenConfiguration {
  if (rotation !== undefined) return rotation;
  throw new CodedError('CEREMONY_REFUSED', 'the configuration names no rotation token: keys could not be re-wrapped');
}

/** A token that was left out would stop the rotation later, when the others have the key already. */
function refuseIncomplete({ tokens }: CeremonyFile, signing: readonly Participant[]): void {
  const known = tokens.filter(({ role }) => role === 'signing');
  const absent = known.filter(({ serial }) => !signing.some(({ info }) => info.serial === serial));
  const strange = signing.filter(({ info }) => !known.some(({ serial }) => serial === info.serial));
  const problems = [
    ...absent.map(({ slot, serial }) => `signing token ${slot} (${serial}) is not in the configuration`),
    ...strange.map(({ token, info }) => `${token.name} (${info.serial}) is not in the protocol: add it first`),
  ];
  if (problems.length > 0) throw new CodedError('CEREMONY_REFUSED', problems.join('; '));
}

async function make(kind: KeyKind, protocol: Protocol, party: Party, people: People): Promise<CeremonyFile> {
  const { content } = protocol;
  const { origin, rotation, signing, all } = party;
  const record = all.map(tokenRecord);
  const note = (line: string): void => {
    record.push(line);
    people.say(line);
  };

  await proveOldKeys(content, party);
  const made = await deliverNewKey(kind, content, party, people);
  for (const one of made.delivered) note(deliveryRecord(one, people));
  if (rotation !== undefined) note(await deliverOldKeys(content, origin, rotation, people));

  await each(all, ({ child }, index) =>
    child.ask('use', { names: made.names, wrapMethod: at(made.delivered, index).wrapMethod }),
  );
  const reference: Reference =
    rotation === undefined
      ? { ...referenceOf(content), integrityKeyId: integrityKeyId(await origin.child.ask('hmac', integrityKeyText)) }
      : await makeReference(content, rotation, signing, note);
  note(
    `${kind} ${kind === 'master key' ? made.masterKeyId : reference.integrityKeyId}, beside ${oldId(kind, content)}`,
  );
  const tiers = await each(all, (participant, index) =>
    examine(participant, participant === origin ? 'backup' : 'signing', reference, at(made.delivered, index).notTaken),
  );
  tiers.forEach((tierB, index) => {
    if (tierB !== undefined) note(tierBRecord(at(all, index), tierB));
  });
  note('every token holds the same keys, and opens and signs with what another wrapped');

  const step: CeremonyStep['step'] = kind === 'master key' ? 'next-master-key' : 'next-integrity-key';
  return {
    version: 2,
    keyStore: content.keyStore,
    createdAt: new Date().toISOString(),
    keysFrom: 'backup token',
    ...keyMaterial(made.names, made.masterKeyId, at(made.delivered, 0).wrapMethod, reference),
    tokens: made.delivered.map((one, index) => ({
      ...tokenEntry(one, at(made.delivered, 0).wrapMethod, tiers[index]),
      ...(one.participant === rotation ? { role: 'rotation' as const } : {}),
    })),
    steps: [stepEntry(step, people, record, protocol)],
    explanations: [...explanations['backup token']],
  };
}

function oldId(kind: KeyKind, { masterKey, integrityKey }: CeremonyFile): string {
  return kind === 'master key' ? masterKey.id : integrityKey.id;
}

/** Nothing new is put on a token that is not what the protocol says. */
async function proveOldKeys(content: CeremonyFile, { origin, signing }: Party): Promise<void> {
  const reference = referenceOf(content);
  await each([origin, ...signing], async (participant) => {
    const { child, info } = participant;
    await child.ask('use', { names: content, wrapMethod: pinnedMethod(content, info.serial) });
    const notTaken = content.tokens.find(({ serial }) => serial === info.serial)?.tierB?.notTaken;
    await examine(participant, participant === origin ? 'backup' : 'signing', reference, notTaken);
  });
}

async function deliverNewKey(
  kind: KeyKind,
  content: CeremonyFile,
  { origin, all }: Party,
  people: People,
): Promise<NewKey> {
  const ckaId = randomBytes(16).toString('hex');
  const masterKeyId = kind === 'master key' ? createMasterKeyId() : content.masterKey.id;
  // The old key keeps its label on the same tokens: this one is called after something no other has.
  const label = `${content.keyStore} ${kind} ${kind === 'master key' ? masterKeyId : ckaId.slice(0, 8)}`;
  const { masterKey, integrityKey } = content;
  const names: KeyNames =
    kind === 'master key'
      ? { masterKey: { label, ckaId }, integrityKey }
      : { masterKey, integrityKey: { label, ckaId } };
  const delivered = await deliverKeys(
    {
      origin,
      targets: all.map((participant) => ({
        participant,
        purpose: participant === origin ? 'backup' : 'signing',
      })),
      keys: [{ kind, label, ckaId }],
      source: 'new',
      ...(kind === 'master key' ? {} : { wrapMethod: pinnedMethod(content) }),
    },
    people,
  );
  return { names, masterKeyId, delivered };
}

/** The old master key as a rotation object, and the integrity key. */
async function deliverOldKeys(
  content: CeremonyFile,
  origin: Participant,
  rotation: Participant,
  people: People,
): Promise<string> {
  const wrapMethod = pinnedMethod(content);
  const order = {
    origin,
    targets: [{ participant: rotation, purpose: 'rotation' }],
    keys: bothKeys(content),
    source: 'stored',
    wrapMethod,
  } as const;
  const delivered = at(await deliverKeys(order, people), 0);
  if (delivered.wrapMethod.mechanism !== wrapMethod.mechanism) {
    throw new CodedError(
      'CEREMONY_REFUSED',
      `the rotation token ${rotation.token.name} has another mechanism number than ${content.masterKey.id} wraps with`,
    );
  }
  return deliveryRecord(delivered, people);
}

/** New canaries; and the attestation key, opened by the old master key on the rotation token and wrapped by the new one. */
async function makeReference(
  content: CeremonyFile,
  rotation: Participant,
  signing: readonly Participant[],
  note: (line: string) => void,
): Promise<Reference> {
  const old = referenceOf(content);
  const attestation = await rotation.child.ask('rewrap', {
    name: content.masterKey,
    wrapMethod: pinnedMethod(content),
    key: old.attestation,
  });
  note(`attestation key ${attestation.publicKey}, the same as before, wrapped anew on ${rotation.token.name}`);
  const canaries: MadeKey[] = [];
  for (const curve of await commonCurves(signing, note)) canaries.push(await at(signing, 0).child.ask('make', curve));
  for (const { curve, publicKey } of canaries) note(`canary ${curve}: ${publicKey}`);
  return { integrityKeyId: old.integrityKeyId, attestation, canaries };
}
