import type { CeremonyFile } from '../../shared/ceremony-file.ts';
import type { CeremonyConfiguration } from '../../shared/configuration/ceremony.ts';
import { CodedError } from '../../shared/errors.ts';
import type { Transport } from '../../worker/hsm/delivery/target.ts';
import { refuseStranger } from '../add-token.ts';
import { backupOf } from '../create.ts';
import { examine } from '../examination.ts';
import { bothKeys } from '../keys.ts';
import { at, each } from '../participants.ts';
import { mustBeSame, type People } from '../people.ts';
import { pinnedMethod, referenceOf } from '../pinned.ts';
import { readProtocol, replaceProtocolFile, stepEntry } from '../protocol-file.ts';
import { tokenRecord } from '../records.ts';
import { holdSitting } from '../sitting.ts';
import { methodFor, methodText } from '../wrap-choice.ts';
import { type Request, readExchange, refuseLeftOver, writeExchange } from './exchange-files.ts';

/** Which token, and the folder whose files travel. */
export interface Exchange {
  readonly token: string;
  readonly folder: string;
}

/**
 * `ceremony deliver`, on the machine of the backup token: wraps the keys for a token that is on another machine. The second
 * person hears from there what its transport key is; nothing here shows it to them first.
 * @throws CEREMONY_REFUSED, and what opening a token throws. Nothing leaves the backup token then.
 */
export async function deliverByFile(
  configuration: CeremonyConfiguration,
  { token, folder }: Exchange,
  people: People,
): Promise<CeremonyFile> {
  const { ceremonyFile } = configuration;
  const protocol = readProtocol(ceremonyFile);
  const { content } = protocol;
  const { content: request } = readExchange(folder, token, 'request');
  mustFit(content, request, token);
  refuseLeftOver(folder, token, ['delivery', 'receipt']);
  const method = methodFor({ name: token, wrapMethods: request.wrapMethods }, pinnedMethod(content));
  const { serial } = request.token;

  return await holdSitting([backupOf(configuration)], configuration, async (participants) => {
    const origin = at(participants, 0);
    refuseStranger(content, origin.info.serial, origin.token.name);
    people.say(tokenRecord(origin));
    const asked = `token ${token}: “${request.token.label}”, serial ${serial}, ${request.token.manufacturer} ${request.token.model}, on another machine`;
    people.say(asked);
    await people.agree(
      `Hand the keys of key store ${content.keyStore} (${content.masterKey.id}) to token ${token} (${serial})?`,
    );
    await origin.child.ask('use', { names: content, wrapMethod: pinnedMethod(content, origin.info.serial) });
    await each([origin], (one) => examine(one, 'backup', referenceOf(content)));

    // What the backup token read back of the key it took in: that, and not the file's word, is compared.
    const transportKeySha256 = at(await origin.child.ask('import-transports', [transportOf(request)]), 0);
    mustBeSame({ target: token, readOnTarget: request.transportKey.sha256, readOnOrigin: transportKeySha256 });
    await people.hear({
      what: `the transport key of ${token}`,
      where: `the machine of ${token}`,
      sha256: transportKeySha256,
    });
    const [delivery] = await origin.child.ask('distribute', { keys: bothKeys(content), source: 'stored' });
    if (delivery === undefined) throw new RangeError('one transport key was taken in');

    const who = people.attended ? 'heard and compared by the second person' : 'compared by nobody';
    const record = [
      tokenRecord(origin),
      asked,
      `the keys were wrapped for its transport key, SHA-256 ${transportKeySha256}, ${who}; it is to wrap with ${methodText(method)}`,
    ];
    const step = {
      ...stepEntry('deliver', people, record, protocol),
      delivered: { slot: token, serial, transportKeySha256 },
    };
    // First the protocol: whatever left the backup token is on record.
    replaceProtocolFile(ceremonyFile, protocol, { ...content, steps: [...content.steps, step] });
    const written = readProtocol(ceremonyFile);
    const { file } = writeExchange(folder, token, 'delivery', {
      version: 1,
      file: 'ceremony delivery',
      serial,
      transportKeySha256,
      hash: delivery.hash,
      blobs: delivery.blobs.map((blob) => Buffer.from(blob).toString('base64')),
      wrapMethod: method,
      protocol: written.text,
    });
    people.say(`${file} goes to the machine of ${token}, whose second person is to hear from here:`);
    people.say(`protocol file ${ceremonyFile}, SHA-256 ${written.sha256}`);
    return written.content;
  });
}

/** As another machine's token says it: nothing of it is believed before it was compared. */
function transportOf({ transportKey, wrapMethods }: Request): Transport {
  const { modulus, publicExponent, sha256, hashes } = transportKey;
  const publicKey = { modulus: Buffer.from(modulus, 'hex'), publicExponent: Buffer.from(publicExponent, 'hex') };
  return { publicKey, sha256, hashes, wrapMethods };
}

function mustFit({ keyStore, tokens }: CeremonyFile, { keyStore: asked, token }: Request, name: string): void {
  if (asked !== keyStore)
    throw new CodedError('CEREMONY_REFUSED', `the request is for key store ${asked}, the protocol is of ${keyStore}`);
  if (token.name !== name)
    throw new CodedError('CEREMONY_REFUSED', `the request is of token ${token.name}, not of ${name}`);
  if (tokens.some(({ serial, slot }) => serial === token.serial || slot === name))
    throw new CodedError('CEREMONY_REFUSED', `the protocol has token ${name} (${token.serial}) already`);
}
