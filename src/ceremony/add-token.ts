import type { CeremonyFile } from '../shared/ceremony-file.ts';
import type { CeremonyConfiguration } from '../shared/configuration/ceremony.ts';
import { CodedError } from '../shared/errors.ts';
import { backupOf, tokenEntry } from './create.ts';
import { deliverKeys } from './deliver.ts';
import { examine } from './examination.ts';
import { bothKeys } from './keys.ts';
import { at, each } from './participants.ts';
import type { People } from './people.ts';
import { pinnedMethod, referenceOf } from './pinned.ts';
import { readProtocol, replaceProtocolFile, stepEntry } from './protocol-file.ts';
import { deliveryRecord, tokenRecord } from './records.ts';
import { holdSitting } from './sitting.ts';

/**
 * `ceremony add-token`: fills one more signing token from the backup token and appends it to the protocol file. Workers
 * take it only once it was checked.
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
  const backup = backupOf(configuration);
  return await holdSitting([backup, token], async ([origin, target]) => {
    if (origin === undefined || target === undefined) throw new RangeError('two tokens take part');
    refuseStranger(content, origin.info.serial, backup.name);
    if (content.tokens.some(({ serial }) => serial === target.info.serial)) {
      throw new CodedError('CEREMONY_REFUSED', `the protocol has token ${name} (${target.info.serial}) already`);
    }
    for (const one of [origin, target]) people.say(tokenRecord(one));
    await people.agree(`Put the keys of key store ${content.keyStore} (${content.masterKey.id}) on token ${name}?`);

    const pinned = pinnedMethod(content, origin.info.serial);
    await origin.child.ask('use', { names: content, wrapMethod: pinned });
    const reference = referenceOf(content);
    await each([origin], (one) => examine(one, 'backup', reference));
    const order = {
      origin,
      targets: [{ participant: target, purpose: 'signing' }],
      keys: bothKeys(content),
      source: 'stored',
      wrapMethod: pinnedMethod(content, ''),
    } as const;
    const delivered = at(await deliverKeys(order, people), 0);
    await target.child.ask('use', { names: content, wrapMethod: delivered.wrapMethod });
    const notEnforced = at(await each([target], (one) => examine(one, 'signing', reference, delivered.notTaken)), 0);

    const entry = tokenEntry(delivered, { wrapMethod: pinnedMethod(content, '') }, notEnforced);
    const record = [
      ...[origin, target].map(tokenRecord),
      deliveryRecord(delivered, people),
      `${name} holds the same keys as ${backup.name}; it needs a check before it may work`,
    ];
    for (const line of record.slice(2)) people.say(line);
    const next: CeremonyFile = {
      ...content,
      tokens: [...content.tokens, entry],
      steps: [...content.steps, stepEntry('add-token', people, record, protocol)],
    };
    people.say(`protocol file ${ceremonyFile}, SHA-256 ${replaceProtocolFile(ceremonyFile, protocol, next)}`);
    return next;
  });
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
