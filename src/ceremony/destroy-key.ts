import type { CeremonyFile } from '../shared/ceremony-file.ts';
import type { CeremonyConfiguration } from '../shared/configuration/ceremony.ts';
import { CodedError } from '../shared/errors.ts';
import type { KeyKind } from '../worker/hsm/delivery/keys.ts';
import { bothKeys } from './keys.ts';
import { each, type Participant } from './participants.ts';
import type { People } from './people.ts';
import { readProtocol, replaceProtocolFile, stepEntry } from './protocol-file.ts';
import { tokenRecord } from './records.ts';
import { holdSitting } from './sitting.ts';

/**
 * The end of a key that a rotation left behind: its objects are destroyed on every token of its protocol, the backup token
 * included, and the protocol says so. What it had wrapped (deleted keys, older backups of the database) opens nowhere any
 * more. A second run is harmless: what is gone is gone.
 * @param id of the key, which must be that of the protocol.
 * @throws CEREMONY_REFUSED when a token of the protocol is missing; what opening a token throws
 */
export async function destroyKey(
  configuration: CeremonyConfiguration,
  kind: KeyKind,
  id: string,
  people: People,
): Promise<void> {
  const { ceremonyFile, backup, rotation, tokens } = configuration;
  const protocol = readProtocol(ceremonyFile);
  const { content } = protocol;
  const found = kind === 'master key' ? content.masterKey.id : content.integrityKey.id;
  if (found !== id) throw new CodedError('CEREMONY_REFUSED', `${ceremonyFile} is of ${found}, not of ${id}`);
  const taking = [backup, rotation, ...tokens].filter((one) => one !== undefined);
  await holdSitting(taking, configuration, async (participants) => {
    refuseAbsent(content, participants);
    for (const one of participants) people.say(tokenRecord(one));
    const names = participants.map(({ token }) => token.name).join(', ');
    const erased = absentRotationTokens(content, participants);
    for (const token of erased) people.say(token);
    await people.agree(
      `Destroy ${kind} ${id} on ${names}? Deleted keys, and backups of the database from before the rotation, can never be opened again.`,
    );
    const keys = bothKeys(content).filter((key) => key.kind === kind);
    const removed = await each(participants, ({ child }) => child.ask('clean-up', keys));
    const record = [
      ...erased,
      ...participants.map(
        ({ token, info }, index) =>
          `${token.name} (${info.serial}): ${removed[index]?.removed === 0 ? `${id} was not there` : `${id} destroyed`}`,
      ),
    ];
    for (const line of record) people.say(line);
    const next: CeremonyFile = {
      ...content,
      steps: [...content.steps, stepEntry('destroy', people, record, protocol)],
    };
    people.say(`protocol file ${ceremonyFile}, SHA-256 ${replaceProtocolFile(ceremonyFile, protocol, next)}`);
  });
}

/** They are erased after their rotation, and cannot be asked. */
function absentRotationTokens({ tokens }: CeremonyFile, participants: readonly Participant[]): string[] {
  return tokens
    .filter(({ role, serial }) => role === 'rotation' && !participants.some(({ info }) => info.serial === serial))
    .map(({ slot, serial }) => `rotation token ${slot} (${serial}) is not here: it must have been erased`);
}

/** A copy that stays anywhere is a key that was not destroyed. */
function refuseAbsent({ tokens }: CeremonyFile, participants: readonly Participant[]): void {
  const absent = tokens.filter(
    ({ role, serial }) => role !== 'rotation' && !participants.some(({ info }) => info.serial === serial),
  );
  if (absent.length === 0) return;
  const list = absent.map(({ slot, serial, role }) => `${role} token ${slot} (${serial})`).join(', ');
  throw new CodedError('CEREMONY_REFUSED', `not in the configuration, though the protocol has it: ${list}`);
}
