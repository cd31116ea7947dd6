import type { CeremonyFile } from '../shared/ceremony-file.ts';
import type { CeremonyConfiguration } from '../shared/configuration/ceremony.ts';
import { CodedError } from '../shared/errors.ts';
import { adoptedTokens } from './adopt.ts';
import { backupOf } from './create.ts';
import { deliverKeys } from './deliver.ts';
import { examine } from './examination.ts';
import { bothKeys } from './keys.ts';
import { type FilledToken, tokenEntry } from './new-protocol.ts';
import { at, each, type Participant } from './participants.ts';
import type { People } from './people.ts';
import { pinnedMethod, referenceOf } from './pinned.ts';
import { readProtocol, replaceProtocolFile, stepEntry } from './protocol-file.ts';
import { deliveryRecord, tierBRecord, tokenRecord } from './records.ts';
import { holdSitting } from './sitting.ts';

/**
 * `ceremony add-token`: fills one more signing token from the backup token (or takes one that the vendor's tools filled)
 * and appends it to the protocol file. Workers take it only once it was checked.
 * @param name of a token of the configuration that the protocol does not have yet.
 * @throws CEREMONY_REFUSED, and what opening a token throws. Nothing is left on the new token then.
 */
export async function addToken(
  configuration: CeremonyConfiguration,
  name: string,
  people: People,
): Promise<CeremonyFile> {
  const { ceremonyFile, tokens } = configuration;
  const protocol = readProtocol(ceremonyFile);
  const { content } = protocol;
  const token = tokens.find((one) => one.name === name);
  if (token === undefined) throw new CodedError('CONFIG_INVALID', `there is no token ${name} in the configuration`);
  const adopts = content.keysFrom === 'vendor tools';
  const sources = adopts ? [] : [backupOf(configuration)];
  return await holdSitting([token, ...sources], configuration, async (participants) => {
    const target = at(participants, 0);
    refuseKnown(content, target);
    for (const one of participants) people.say(tokenRecord(one));
    const { filled, record } = adopts
      ? await taken(content, target, people)
      : await delivered(content, at(participants, 1), target, people);
    await target.child.ask('use', { names: content, wrapMethod: filled.wrapMethod });
    const [tierB] = await each([target], (one) => examine(one, 'signing', referenceOf(content), filled.notTaken));

    const lines = [
      ...record,
      ...(tierB === undefined ? [] : [tierBRecord(target, tierB)]),
      `${name} holds the keys of ${content.masterKey.id}; it needs a check before it may work`,
    ];
    for (const line of lines) people.say(line);
    const next: CeremonyFile = {
      ...content,
      tokens: [...content.tokens, tokenEntry(filled, pinnedMethod(content), tierB)],
      steps: [...content.steps, stepEntry('add-token', people, [...participants.map(tokenRecord), ...lines], protocol)],
    };
    people.say(`protocol file ${ceremonyFile}, SHA-256 ${replaceProtocolFile(ceremonyFile, protocol, next)}`);
    return next;
  });
}

interface Filling {
  readonly filled: FilledToken;
  readonly record: readonly string[];
}

async function delivered(
  content: CeremonyFile,
  origin: Participant,
  target: Participant,
  people: People,
): Promise<Filling> {
  refuseStranger(content, origin.info.serial, origin.token.name);
  const { keyStore, masterKey } = content;
  await people.agree(`Put the keys of key store ${keyStore} (${masterKey.id}) on token ${target.token.name}?`);
  await origin.child.ask('use', { names: content, wrapMethod: pinnedMethod(content, origin.info.serial) });
  await each([origin], (one) => examine(one, 'backup', referenceOf(content)));
  const order = {
    origin,
    targets: [{ participant: target, purpose: 'signing' }],
    keys: bothKeys(content),
    source: 'stored',
    wrapMethod: pinnedMethod(content),
  } as const;
  const filled = at(await deliverKeys(order, people), 0);
  return { filled, record: [deliveryRecord(filled, people)] };
}

async function taken(content: CeremonyFile, target: Participant, people: People): Promise<Filling> {
  const { keyStore, masterKey } = content;
  await people.agree(
    `Take token ${target.token.name}, which has the keys, for key store ${keyStore} (${masterKey.id})?`,
  );
  const { filled, record } = await adoptedTokens([target], pinnedMethod(content));
  return { filled: at(filled, 0), record };
}

function refuseKnown({ tokens }: CeremonyFile, { token, info }: Participant): void {
  if (!tokens.some(({ serial }) => serial === info.serial)) return;
  throw new CodedError('CEREMONY_REFUSED', `the protocol has token ${token.name} (${info.serial}) already`);
}

/** @throws CEREMONY_REFUSED when this is not the backup token of the protocol */
export function refuseStranger({ tokens }: CeremonyFile, serial: string, name: string): void {
  const known = tokens.find((one) => one.role === 'backup');
  if (known?.serial === serial) return;
  throw new CodedError(
    'CEREMONY_REFUSED',
    known === undefined
      ? 'the protocol names no backup token: these keys cannot be brought to another token'
      : `token ${name} (${serial}) is not the backup token of the protocol (${known.serial})`,
  );
}
