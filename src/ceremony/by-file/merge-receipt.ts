import type { CeremonyFile, CeremonyStep } from '../../shared/ceremony-file.ts';
import type { CeremonyConfiguration } from '../../shared/configuration/ceremony.ts';
import { CodedError } from '../../shared/errors.ts';
import type { People } from '../people.ts';
import { readProtocol, replaceProtocolFile, stepEntry } from '../protocol-file.ts';
import type { Exchange } from './deliver-by-file.ts';
import { type Receipt, readExchange } from './exchange-files.ts';

/**
 * `ceremony merge`: enters in the protocol file what another machine's token has received, as that machine's people tell
 * it. Opens no token; the token may work once it passed a check, which believes none of this.
 * @throws CEREMONY_REFUSED when nothing was delivered to this token, or the receipt is not what its machine wrote
 */
export async function mergeReceipt(
  { ceremonyFile }: CeremonyConfiguration,
  { token, folder }: Exchange,
  people: People,
): Promise<CeremonyFile> {
  const protocol = readProtocol(ceremonyFile);
  const { content } = protocol;
  const { content: receipt, sha256 } = readExchange(folder, token, 'receipt');
  mustFit(content, receipt, token);
  for (const line of receipt.record) people.say(line);
  await people.hear({ what: `the receipt of ${token}`, where: `the machine of ${token}`, sha256 });
  await people.agree(`Enter token ${token} (${receipt.token.serial}) in the protocol of ${content.masterKey.id}?`);

  const { at, attended } = receipt;
  const received: CeremonyStep = { step: 'add-token', at, attended, people: receipt.people, record: receipt.record };
  const who = people.attended ? 'heard and compared by the second person' : 'compared by nobody';
  const record = [`the receipt of ${token}, SHA-256 ${sha256}, ${who}, was entered`];
  const next: CeremonyFile = {
    ...content,
    tokens: [...content.tokens, receipt.token],
    steps: [...content.steps, received, stepEntry('merge', people, record, protocol)],
  };
  people.say(`protocol file ${ceremonyFile}, SHA-256 ${replaceProtocolFile(ceremonyFile, protocol, next)}`);
  return next;
}

function mustFit({ keyStore, masterKey, tokens, steps }: CeremonyFile, receipt: Receipt, name: string): void {
  const refuse = (why: string): never => {
    throw new CodedError('CEREMONY_REFUSED', `the receipt of ${name} ${why}`);
  };
  const { serial, slot, transportKeySha256 } = receipt.token;
  if (receipt.keyStore !== keyStore || receipt.masterKeyId !== masterKey.id)
    refuse(
      `is of ${receipt.masterKeyId} of key store ${receipt.keyStore}, the protocol of ${masterKey.id} of ${keyStore}`,
    );
  if (slot !== name) refuse(`is of token ${slot}`);
  if (tokens.some((one) => one.serial === serial || one.slot === name))
    refuse(`is of a token (${serial}) that the protocol has already`);
  const delivered = steps.some(
    (one) => one.delivered?.serial === serial && one.delivered.transportKeySha256 === transportKeySha256,
  );
  if (!delivered) refuse('answers no delivery of this protocol');
}
