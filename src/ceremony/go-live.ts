import type { CeremonyFile } from '../shared/ceremony-file.ts';
import type { CeremonyConfiguration } from '../shared/configuration/ceremony.ts';
import { CodedError } from '../shared/errors.ts';
import type { People } from './people.ts';
import { readProtocol, replaceProtocolFile, stepEntry } from './protocol-file.ts';

/**
 * `ceremony go-live`: from now on nodes work with these keys. Opens no token.
 * @param rehearsal go live although steps were unattended; the protocol, every worker's log and `status` say so.
 * @throws CEREMONY_REFUSED naming everything that is in the way.
 */
export async function goLive(
  { ceremonyFile }: CeremonyConfiguration,
  people: People,
  rehearsal: boolean,
): Promise<CeremonyFile> {
  const protocol = readProtocol(ceremonyFile);
  const { content } = protocol;
  const obstacles = [...missing(content), ...(rehearsal ? [] : unattended(content, people))];
  if (obstacles.length > 0) throw new CodedError('CEREMONY_REFUSED', `not live: ${obstacles.join('; ')}`);
  const lax = content.tokens.filter(({ tierB }) => tierB !== undefined).map(({ slot }) => slot);
  const lost = neverMerged(content);
  const doubts = [
    ...(lax.length > 0 ? [`${lax.join(', ')} are of tier B`] : []),
    ...lost.map((one) => `the keys were also handed to ${one}, of which no receipt was entered`),
  ];
  await people.agree(
    `Let nodes work with ${content.masterKey.id} of key store ${content.keyStore}${doubts.length > 0 ? `, though ${doubts.join(' and ')}` : ''}?`,
  );

  const record = [
    `every token passed its check: ${content.tokens.map(({ slot, serial }) => `${slot} (${serial})`).join(', ')}`,
    ...lax.map((slot) => `${slot} is of tier B: whoever has its PIN and a wrapped key can extract that key`),
    ...lost.map((one) => `the keys were handed to ${one}, of which no receipt was entered: find out what became of it`),
    ...(rehearsal ? ['a rehearsal: these keys must protect nothing of value'] : []),
  ];
  for (const line of record) people.say(line);
  const step = stepEntry('go-live', people, record, protocol);
  const next: CeremonyFile = { ...content, live: { at: step.at, rehearsal }, steps: [...content.steps, step] };
  people.say(`protocol file ${ceremonyFile}, SHA-256 ${replaceProtocolFile(ceremonyFile, protocol, next)}`);
  return next;
}

/** Tokens that keys were wrapped for by `deliver`, and that never came back. */
function neverMerged({ tokens, steps }: CeremonyFile): string[] {
  const open = steps.flatMap(({ delivered }) =>
    delivered === undefined || tokens.some(({ serial }) => serial === delivered.serial) ? [] : [delivered],
  );
  return [...new Set(open.map(({ slot, serial }) => `${slot} (${serial})`))];
}

/** What no rehearsal excuses. */
function missing({ live, keysFrom, tokens }: CeremonyFile): string[] {
  const signing = tokens.filter(({ role }) => role === 'signing');
  return [
    ...(live === undefined ? [] : [`it is live since ${live.at}`]),
    ...(signing.length === 0 ? ['no signing token is filled'] : []),
    ...(keysFrom === 'vendor tools' || tokens.some(({ role }) => role === 'backup')
      ? []
      : ['there is no backup token']),
    ...tokens.filter(({ checkedAt }) => checkedAt === undefined).map(({ slot }) => `${slot} was not checked`),
  ];
}

/** What makes it a rehearsal. */
function unattended({ tokens, steps }: CeremonyFile, { attended }: People): string[] {
  const signing = tokens.filter(({ role }) => role === 'signing');
  const alone = steps.filter((one) => !one.attended).map(({ step, at }) => `${step} of ${at}`);
  return [
    ...(signing.length < 2 ? ['there is one signing token only: two are needed'] : []),
    ...(alone.length > 0 ? [`unattended steps: ${alone.join(', ')}`] : []),
    ...(attended ? [] : ['nobody attends this step']),
    ...(steps.length === 0 ? ['the protocol has no steps'] : []),
  ].map((one) => `${one} (a rehearsal may: --rehearsal)`);
}
