import { existsSync } from 'node:fs';
import type { CeremonyFile } from '../shared/ceremony-file.ts';
import type { CeremonyConfiguration, CeremonyTokenConfiguration } from '../shared/configuration/ceremony.ts';
import { CodedError } from '../shared/errors.ts';
import { deliverKeys } from './deliver.ts';
import { bothKeys, createKeyNames } from './keys.ts';
import { newProtocol } from './new-protocol.ts';
import { at } from './participants.ts';
import type { People } from './people.ts';
import { writeProtocolFile } from './protocol-file.ts';
import { deliveryRecord, tokenRecord } from './records.ts';
import { holdSitting } from './sitting.ts';

/**
 * `ceremony create`: one new master key and one new integrity key. The backup token makes them; they are delivered to it
 * and to every signing token of the configuration (deliver.ts). Then the protocol file is written, which holds no secret.
 * @throws CEREMONY_REFUSED, and what opening a token throws. Nothing is left on any token then.
 */
export async function createKeyStore(configuration: CeremonyConfiguration, people: People): Promise<CeremonyFile> {
  const { keyStore, ceremonyFile, tokens } = configuration;
  refuseExisting(ceremonyFile);
  const backup = backupOf(configuration);
  return await holdSitting([backup, ...tokens], configuration, async (participants) => {
    const origin = at(participants, 0);
    for (const participant of participants) people.say(tokenRecord(participant));
    const also = tokens.length === 0 ? '' : `, and put them on ${tokens.map(({ name }) => name).join(', ')}`;
    await people.agree(`Make new keys for key store ${keyStore} on backup token ${backup.name}${also}?`);
    const names = createKeyNames(keyStore);
    const filled = await deliverKeys(
      {
        origin,
        targets: participants.map((participant) => ({
          participant,
          purpose: participant === origin ? 'backup' : 'signing',
        })),
        keys: bothKeys(names),
        source: 'new',
      },
      people,
    );
    const deliveries = filled.map((one) => deliveryRecord(one, people));
    for (const line of deliveries) people.say(line);
    people.say(`both keys are on ${participants.map(({ token }) => token.name).join(', ')}`);
    const record = [...participants.map(tokenRecord), ...deliveries];
    const file = await newProtocol(
      { keyStore, keysFrom: 'backup token', names, filled, step: 'create', record },
      people,
    );
    people.say(`protocol file ${ceremonyFile}, SHA-256 ${writeProtocolFile(ceremonyFile, file)}`);
    return file;
  });
}

/** @throws CEREMONY_REFUSED */
export function refuseExisting(ceremonyFile: string): void {
  if (!existsSync(ceremonyFile)) return;
  throw new CodedError(
    'CEREMONY_REFUSED',
    `${ceremonyFile} exists: this key store has its keys. Another ceremony needs another file`,
  );
}

/** @throws CEREMONY_REFUSED: without a backup token no HSM can ever be added. */
export function backupOf({ backup }: CeremonyConfiguration): CeremonyTokenConfiguration {
  if (backup !== undefined) return backup;
  throw new CodedError(
    'CEREMONY_REFUSED',
    'the configuration names no backup token: without one, no HSM can ever be added to the key store',
  );
}
