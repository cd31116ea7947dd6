import type { CeremonyFile } from '../shared/ceremony-file.ts';
import type { CeremonyConfiguration } from '../shared/configuration/ceremony.ts';
import { checkTokens } from './check.ts';
import { createKeyStore } from './create.ts';
import { goLive } from './go-live.ts';
import type { People } from './people.ts';

/**
 * The whole ceremony in one go, for trying out and for key stores whose tokens are all within reach: create, check every
 * token, go live. Without people it is a rehearsal.
 * @throws CEREMONY_REFUSED, and what opening a token throws.
 */
export async function performCeremony(configuration: CeremonyConfiguration, people: People): Promise<CeremonyFile> {
  await createKeyStore(configuration, people);
  await checkTokens(configuration, people);
  return await goLive(configuration, people, !people.attended);
}
