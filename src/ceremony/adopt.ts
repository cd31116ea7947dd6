import type { CeremonyFile } from '../shared/ceremony-file.ts';
import type { CeremonyConfiguration } from '../shared/configuration/ceremony.ts';
import { CodedError } from '../shared/errors.ts';
import type { WrapMethod } from '../shared/wrap-algorithms.ts';
import { refuseExisting } from './create.ts';
import type { KeyNames } from './keys.ts';
import { type FilledToken, newProtocol } from './new-protocol.ts';
import { at, each, type Participant } from './participants.ts';
import type { People } from './people.ts';
import { writeProtocolFile } from './protocol-file.ts';
import { tokenRecord } from './records.ts';
import { holdSitting } from './sitting.ts';
import { chosenMethods, methodFor, methodText } from './wrap-choice.ts';

/**
 * `ceremony adopt`: for HSMs whose vendor clones keys from device to device. The two keys were made on one token with the
 * vendor's tools and cloned to the others; no key is moved here. Attestation key and canaries are made, every token is
 * examined as if it had been filled by a delivery, and the protocol file is written.
 * @throws CEREMONY_REFUSED, MASTER_KEY_…, and what opening a token throws. The keys on the tokens are left as they are.
 */
export async function adoptKeys(configuration: CeremonyConfiguration, people: People): Promise<CeremonyFile> {
  const { keyStore, ceremonyFile, tokens } = configuration;
  refuseExisting(ceremonyFile);
  const names = adoptedNames(configuration);
  return await holdSitting(tokens, configuration, async (participants) => {
    for (const participant of participants) people.say(tokenRecord(participant));
    await people.agree(
      `Take “${names.masterKey.label}” and “${names.integrityKey.label}”, which are on these tokens, for key store ${keyStore}?`,
    );
    const { filled, record } = await adoptedTokens(participants);
    for (const line of record) people.say(line);
    const file = await newProtocol(
      {
        keyStore,
        keysFrom: 'vendor tools',
        names,
        filled,
        step: 'adopt',
        record: [...participants.map(tokenRecord), ...record],
      },
      people,
    );
    people.say(`protocol file ${ceremonyFile}, SHA-256 ${writeProtocolFile(ceremonyFile, file)}`);
    return file;
  });
}

/** How these tokens wrap, found out without touching their keys. @param pinned where the protocol says it already. */
export async function adoptedTokens(
  participants: readonly Participant[],
  pinned?: WrapMethod,
): Promise<{ readonly filled: readonly FilledToken[]; readonly record: readonly string[] }> {
  const found = await each(participants, ({ child }) => child.ask('wrap-methods', undefined));
  const proven = participants.map(({ token }, index) => ({ name: token.name, ...at(found, index) }));
  const methods = pinned === undefined ? chosenMethods(proven) : proven.map((one) => methodFor(one, pinned));
  const filled = participants.map((participant, index): FilledToken => {
    return { participant, purpose: 'signing', wrapMethod: at(methods, index), notTaken: [] };
  });
  const record = proven.map(({ name, unconfirmed }, index) => {
    const doubt = unconfirmed === undefined ? '' : `, as the configuration says; not confirmed (${unconfirmed})`;
    return `${name} has its keys from the vendor’s tools; it wraps with ${methodText(at(methods, index))}${doubt}`;
  });
  return { filled, record };
}

function adoptedNames({ adopt }: CeremonyConfiguration): KeyNames {
  if (adopt !== undefined) return adopt;
  throw new CodedError('CEREMONY_REFUSED', 'the configuration names no keys to adopt (section adopt)');
}
