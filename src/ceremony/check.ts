import type { CeremonyFile, CeremonyToken } from '../shared/ceremony-file.ts';
import type { CeremonyConfiguration, CeremonyTokenConfiguration } from '../shared/configuration/ceremony.ts';
import { CodedError } from '../shared/errors.ts';
import { examine, type TierB } from './examination.ts';
import { at, each, type Participant } from './participants.ts';
import type { People } from './people.ts';
import { pinnedMethod, referenceOf } from './pinned.ts';
import { readProtocol, replaceProtocolFile, stepEntry } from './protocol-file.ts';
import { tierBRecord, tokenRecord } from './records.ts';
import { holdSitting } from './sitting.ts';

/**
 * `ceremony check`: opens tokens anew, in fresh processes that know nothing but the protocol file, and has each prove that
 * it holds the file's keys, enforces their attributes, and opens what every other one wraps. Changes nothing on a token.
 * @param name only this token; else every one of the configuration.
 * @throws CEREMONY_REFUSED, MASTER_KEY_…, and what opening a token throws: a check that is not passed is not recorded.
 */
export async function checkTokens(
  configuration: CeremonyConfiguration,
  people: People,
  name?: string,
): Promise<CeremonyFile> {
  const { ceremonyFile } = configuration;
  const protocol = readProtocol(ceremonyFile);
  const { content } = protocol;
  const tokens = chosen(configuration, name);
  return await holdSitting(tokens, configuration, async (participants) => {
    const checked = participants.map((participant) => ({ ...participant, entry: entryOf(content, participant) }));
    await each(checked, ({ child, info }) =>
      child.ask('use', { names: content, wrapMethod: pinnedMethod(content, info.serial) }),
    );
    const reference = referenceOf(content);
    const tiers = await each(checked, (one) =>
      examine(one, one.entry.role === 'backup' ? 'backup' : 'signing', reference, one.entry.tierB?.notTaken),
    );
    const crossed = await crossCanaries(checked.filter(({ entry }) => entry.role === 'signing'));

    const record = [
      ...participants.map((one) => `${tokenRecord(one)}: holds the keys, and refuses what it must`),
      ...tiers.flatMap((tierB, index) => (tierB === undefined ? [] : [tierBRecord(at(checked, index), tierB)])),
      ...crossed,
    ];
    for (const line of record) people.say(line);
    const step = stepEntry('check', people, record, protocol);
    const next = {
      ...content,
      tokens: stamped(content.tokens, checked, tiers, step.at),
      steps: [...content.steps, step],
    };
    people.say(`protocol file ${ceremonyFile}, SHA-256 ${replaceProtocolFile(ceremonyFile, protocol, next)}`);
    return next;
  });
}

function chosen(
  { backup, rotation, tokens }: CeremonyConfiguration,
  name: string | undefined,
): readonly CeremonyTokenConfiguration[] {
  const all = [...[backup, rotation].filter((one) => one !== undefined), ...tokens];
  if (name === undefined) return all;
  const one = all.find((token) => token.name === name);
  if (one === undefined) throw new CodedError('CONFIG_INVALID', `there is no token ${name} in the configuration`);
  return [one];
}

function entryOf({ tokens }: CeremonyFile, { token, info }: Participant): CeremonyToken {
  const entry = tokens.find(({ serial }) => serial === info.serial);
  if (entry !== undefined) return entry;
  throw new CodedError('CEREMONY_REFUSED', `the protocol has no token ${token.name} (${info.serial}); add it first`);
}

/** Each signing token wraps a new key per curve, and each other one opens it and signs. */
async function crossCanaries(participants: readonly Participant[]): Promise<string[]> {
  const found: string[] = [];
  for (const from of participants) {
    const { works } = await from.child.ask('curves', undefined);
    for (const curve of participants.length < 2 ? [] : works) {
      const made = await from.child.ask('make', curve);
      const others = participants.filter((one) => one !== from);
      await each(others, ({ child }) => child.ask('prove', made));
      const names = others.map(({ token }) => token.name).join(', ');
      found.push(`a new ${curve} key, wrapped on ${from.token.name}, opens and signs on ${names}`);
    }
  }
  return found;
}

function stamped(
  tokens: readonly CeremonyToken[],
  checked: readonly Participant[],
  tiers: readonly (TierB | undefined)[],
  checkedAt: string,
): CeremonyToken[] {
  return tokens.map(({ tierB: before, ...token }) => {
    const index = checked.findIndex(({ info }) => info.serial === token.serial);
    const tierB = index === -1 ? before : tiers[index];
    return { ...token, ...(tierB === undefined ? {} : { tierB }), ...(index === -1 ? {} : { checkedAt }) };
  });
}
