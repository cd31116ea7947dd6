import { setTimeout as pause } from 'node:timers/promises';
import { type CeremonyFile, parseCeremonyFile } from '../../shared/ceremony-file.ts';
import type { CeremonyConfiguration, CeremonyTokenConfiguration } from '../../shared/configuration/ceremony.ts';
import { CodedError } from '../../shared/errors.ts';
import type { Transport } from '../../worker/hsm/delivery/target.ts';
import { inFours } from '../digits.ts';
import { examine } from '../examination.ts';
import { bothKeys, createKeyNames } from '../keys.ts';
import { tokenEntry } from '../new-protocol.ts';
import { at, each, type Participant } from '../participants.ts';
import type { People } from '../people.ts';
import { pinnedMethod, referenceOf } from '../pinned.ts';
import { deliveryRecord, tierBRecord, tokenRecord } from '../records.ts';
import { holdSitting } from '../sitting.ts';
import type { Exchange } from './deliver-by-file.ts';
import {
  type DeliveryFile,
  exchangePath,
  isThere,
  type Receipt,
  type Request,
  readExchange,
  refuseLeftOver,
  sha256Of,
  writeExchange,
} from './exchange-files.ts';

const lookEveryMs = 300;

/**
 * `ceremony receive`, on the machine of a token that the backup token's machine does not reach: makes the transport key,
 * shows its SHA-256, waits for the keys, takes them to stay, and tells in a receipt what the token shows. The transport key
 * is a session object: the files are exchanged while this runs, and what was wrapped for it is worthless afterwards.
 * @throws CEREMONY_REFUSED, and what opening a token throws. Nothing is left on the token then.
 */
export async function receiveByFile(
  configuration: CeremonyConfiguration,
  { token: name, folder }: Exchange,
  people: People,
): Promise<Receipt> {
  const { keyStore } = configuration;
  const token = configuration.tokens.find((one) => one.name === name);
  if (token === undefined) throw new CodedError('CONFIG_INVALID', `there is no token ${name} in the configuration`);
  refuseLeftOver(folder, name, ['request', 'delivery', 'receipt']);
  return await holdSitting([token], configuration, async (participants) => {
    const target = at(participants, 0);
    people.say(tokenRecord(target));
    await each([target], ({ child }) => child.ask('refuse-taken', bothKeys(createKeyNames(keyStore))));
    await people.agree(`Make a transport key on token ${name}, for the keys of key store ${keyStore}?`);
    const [transport] = await each([target], ({ child }) => child.ask('transport', undefined));
    if (transport === undefined) throw new RangeError('one token makes one transport key');
    const { file } = writeExchange(folder, name, 'request', requestOf(keyStore, target, transport));
    people.say(`${file} goes to the machine of the backup token, whose second person is to hear from here:`);
    people.say(`Transport key of ${name}, SHA-256 as read on ${name}: ${inFours(transport.sha256)}`);
    people.say(`Waiting for ${exchangePath(folder, name, 'delivery')} (Ctrl-C ends it)`);
    const delivery = await awaited(folder, name, target);
    const content = contentOf(delivery, target, transport, keyStore);
    await people.hear({
      what: 'the protocol file',
      where: 'the machine of the backup token',
      sha256: sha256Of(delivery.protocol),
    });
    await people.agree(`Put the keys of key store ${keyStore} (${content.masterKey.id}) on token ${name}?`);
    return await keep({ target, token, transport, delivery, content, folder }, people);
  });
}

interface Arrived {
  readonly target: Participant;
  readonly token: CeremonyTokenConfiguration;
  readonly transport: Transport;
  readonly delivery: DeliveryFile;
  readonly content: CeremonyFile;
  readonly folder: string;
}

async function keep(
  { target, token, transport, delivery, content, folder }: Arrived,
  people: People,
): Promise<Receipt> {
  const keys = bothKeys(content);
  const { wrapMethod, hash } = delivery;
  await each([target], ({ child }) => child.ask('refuse-taken', keys));
  target.mayHold = keys;
  const blobs = delivery.blobs.map((blob) => Buffer.from(blob, 'base64'));
  const [received] = await each([target], ({ child }) =>
    child.ask('receive', {
      delivery: { hash, blobs },
      keys,
      purpose: 'signing',
      wrapMethod,
      allowTierB: token.allowTierB,
    }),
  );
  const notTaken = received?.notTaken ?? [];
  await target.child.ask('use', { names: content, wrapMethod });
  const [tierB] = await each([target], (one) => examine(one, 'signing', referenceOf(content), notTaken));

  const transportKeySha256 = transport.sha256;
  const filled = { participant: target, purpose: 'signing', wrapMethod, notTaken, transportKeySha256 } as const;
  const record = [
    tokenRecord(target),
    deliveryRecord(filled, people),
    ...(tierB === undefined ? [] : [tierBRecord(target, tierB)]),
    `${token.name} holds the keys of ${content.masterKey.id}; it needs a check before it may work`,
  ];
  for (const line of record) people.say(line);
  const receipt: Receipt = {
    version: 1,
    file: 'ceremony receipt',
    keyStore: content.keyStore,
    masterKeyId: content.masterKey.id,
    token: { ...tokenEntry(filled, pinnedMethod(content), tierB), role: 'signing' },
    at: new Date().toISOString(),
    attended: people.attended,
    people: [...people.names],
    record,
  };
  const { file, sha256 } = writeExchange(folder, token.name, 'receipt', receipt);
  people.say(`${file} goes to the machine of the backup token, whose second person is to hear from here:`);
  people.say(`receipt of ${token.name}, SHA-256 ${inFours(sha256)}`);
  return receipt;
}

function requestOf(keyStore: string, { token: { name }, info }: Participant, transport: Transport): Request {
  const { label, serial, manufacturer, model } = info;
  const { publicKey, sha256, hashes, wrapMethods } = transport;
  return {
    version: 1,
    file: 'ceremony request',
    keyStore,
    token: { name, label, serial, manufacturer, model },
    transportKey: {
      modulus: Buffer.from(publicKey.modulus).toString('hex'),
      publicExponent: Buffer.from(publicKey.publicExponent).toString('hex'),
      sha256,
      hashes: [...hashes],
    },
    wrapMethods: wrapMethods.map((one) => ({ ...one })),
  };
}

async function awaited(folder: string, name: string, { child }: Participant): Promise<DeliveryFile> {
  while (!isThere(folder, name, 'delivery')) {
    if (!child.alive) throw new CodedError('CEREMONY_REFUSED', `the process of token ${name} ended`);
    await pause(lookEveryMs);
  }
  return readExchange(folder, name, 'delivery').content;
}

/** The protocol in a delivery, whose last step must be this very delivery. @throws CEREMONY_REFUSED, CONFIG_INVALID */
function contentOf(
  { serial, transportKeySha256, protocol }: DeliveryFile,
  { token: { name }, info }: Participant,
  transport: Transport,
  keyStore: string,
): CeremonyFile {
  const refuse = (why: string): never => {
    throw new CodedError('CEREMONY_REFUSED', `the delivery for ${name} ${why}`);
  };
  if (serial !== info.serial) refuse(`is for another token (${serial})`);
  if (transportKeySha256 !== transport.sha256)
    refuse('is for another transport key: of an earlier attempt, or swapped');
  const content = parseCeremonyFile(protocol, 'in the delivery');
  if (content.keyStore !== keyStore) refuse(`is of key store ${content.keyStore}`);
  const delivered = content.steps.at(-1)?.delivered;
  if (delivered?.serial !== serial || delivered.transportKeySha256 !== transportKeySha256)
    refuse('brings a protocol file that does not end with it');
  return content;
}
