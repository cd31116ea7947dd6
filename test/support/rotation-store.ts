import { randomUUID } from 'node:crypto';
import { cpSync, existsSync, renameSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { checkTokens } from '../../src/ceremony/check.ts';
import { goLive } from '../../src/ceremony/go-live.ts';
import { makeNextKey } from '../../src/ceremony/next-key.ts';
import { nobody } from '../../src/ceremony/people.ts';
import { type CeremonyFile, readCeremonyFile } from '../../src/shared/ceremony-file.ts';
import type { CeremonyConfiguration } from '../../src/shared/configuration/ceremony.ts';
import type { SlotConfiguration } from '../../src/shared/configuration/sections.ts';
import {
  addToken,
  type Cleanup,
  ceremonyFor,
  createKeyStore,
  fingerprint,
  type SoftKeyStore,
  slotIn,
  temporaryDirectory,
} from './soft-token.ts';

/** Two signing tokens that hold an old and a new master key, and the rotation token between the two. */
export interface RotationStore extends SoftKeyStore {
  /** `ceremony` and `ceremonyFile` are of the old key, these of the new one. */
  readonly next: CeremonyFile;
  readonly nextFile: string;
  readonly rotation: SlotConfiguration;
}

const kept = (): string => resolve(import.meta.dirname, '../../.cache/test-key-store', `next-${fingerprint()}`);

/** The next ceremony is held once and its tokens are copied after that, like the first (soft-token.ts). */
export async function createRotationStore(t: Cleanup): Promise<RotationStore> {
  if (!existsSync(kept())) await holdNextCeremony(t);
  const directory = temporaryDirectory(t);
  cpSync(kept(), directory, { recursive: true });
  return storeIn(directory);
}

async function holdNextCeremony(t: Cleanup): Promise<void> {
  const unfinished = `${kept()}.${randomUUID()}`;
  try {
    cpSync((await createKeyStore(t)).directory, unfinished, { recursive: true });
    const { slots, rotation, ceremonyFile, nextFile } = placesIn(unfinished);
    await addToken(rotation);
    await holdNext(rotationCeremony(slots, rotation, ceremonyFile), nextFile);
    renameSync(unfinished, kept());
  } catch (error) {
    if (!existsSync(kept())) throw error; // else another test was quicker
  } finally {
    rmSync(unfinished, { recursive: true, force: true });
  }
}

/** The whole ceremony of a next master key, rehearsed. */
export async function holdNext(configuration: CeremonyConfiguration, nextFile: string): Promise<CeremonyFile> {
  const people = nobody(() => {});
  await makeNextKey(configuration, 'master key', nextFile, people);
  const ofNext = { ...configuration, ceremonyFile: nextFile };
  await checkTokens(ofNext, people);
  return await goLive(ofNext, people, true);
}

export function rotationCeremony(
  slots: readonly SlotConfiguration[],
  rotation: SlotConfiguration,
  ceremonyFile: string,
): CeremonyConfiguration {
  const configuration = ceremonyFor([...slots, rotation], ceremonyFile);
  const last = configuration.tokens.at(-1);
  if (last === undefined) throw new Error('no rotation token');
  return { ...configuration, tokens: configuration.tokens.slice(0, -1), rotation: last };
}

function placesIn(directory: string) {
  const [a, b, rotation] = ['a', 'b', 'rotation'].map((name) => slotIn(join(directory, name), name));
  if (a === undefined || b === undefined || rotation === undefined) throw new Error('three names make three slots');
  return {
    slots: [a, b] as const,
    rotation,
    ceremonyFile: join(directory, 'ceremony.json'),
    nextFile: join(directory, 'next.json'),
  };
}

function storeIn(directory: string): RotationStore {
  const places = placesIn(directory);
  return {
    ...places,
    keyStore: 'store',
    directory,
    ceremony: readCeremonyFile(places.ceremonyFile),
    next: readCeremonyFile(places.nextFile),
  };
}
