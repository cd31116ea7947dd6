import { createHash, randomUUID } from 'node:crypto';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { initialiseSoftToken } from '../../src/ceremony/initialise-token.ts';
import { nobody } from '../../src/ceremony/people.ts';
import { performCeremony } from '../../src/ceremony/perform-ceremony.ts';
import { type CeremonyFile, readCeremonyFile } from '../../src/shared/ceremony-file.ts';
import { type CeremonyConfiguration, ceremonyConfiguration } from '../../src/shared/configuration/ceremony.ts';
import { type SlotConfiguration, slot as slotSchema } from '../../src/shared/configuration/sections.ts';

/**
 * Throw-away SoftHSM tokens. Each lives in a directory of its own with its own SOFTHSM2_CONF, like two devices; a process
 * reads that variable once, so one process opens one of them at a time (openHsm … stop, then the next).
 */

const root = resolve(import.meta.dirname, '../..');

/** What the set-up found out about this machine. */
export function facts(): { readonly module: string; readonly curves: readonly string[] } {
  return JSON.parse(readFileSync(join(root, '.cache/setup/facts.json'), 'utf8'));
}

/** With letters: tests look for it in pages and logs full of numbers. */
export const pin = 'valjean-24601';
export const soPin = '87654321';

/** Where a test registers its clean-up: tap's `t`. */
export interface Cleanup {
  teardown(handler: () => void | Promise<void>): void;
}

/** An empty directory that goes away with the test. */
export function temporaryDirectory(t: Cleanup): string {
  const directory = mkdtempSync(join(tmpdir(), 'hsm-signing-'));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

/** A SOFTHSM2_CONF and a PIN file in `directory`, and the slot that uses them. No token is made. */
export function slotIn(directory: string, name: string, tokenLabel = `token ${name}`): SlotConfiguration {
  mkdirSync(join(directory, 'tokens'), { recursive: true });
  const configuration = join(directory, 'softhsm2.conf');
  writeFileSync(
    configuration,
    `directories.tokendir = ${join(directory, 'tokens')}\nobjectstore.backend = file\nlog.level = ERROR\n`,
  );
  const pinFile = join(directory, 'pin');
  writeFileSync(pinFile, `${pin}\n`, { mode: 0o600 });
  return slotSchema.parse({
    name,
    module: facts().module,
    environment: { SOFTHSM2_CONF: configuration },
    tokenLabel,
    pinFile,
  });
}

/** One more initialised token, without keys, in the directory of a slot. */
export function addToken(slot: SlotConfiguration, label = slot.tokenLabel): Promise<{ serial: string }> {
  return initialiseSoftToken({ module: slot.module, environment: slot.environment, label, soPin, pin });
}

/** A fresh token without keys. */
export async function createSoftToken(
  t: Cleanup,
  name = 'a',
): Promise<SlotConfiguration & { readonly serial: string }> {
  const slot = slotIn(temporaryDirectory(t), name);
  return { ...slot, ...(await addToken(slot)) };
}

/** Tokens that took part in one ceremony. */
export interface SoftKeyStore {
  readonly keyStore: string;
  readonly ceremonyFile: string;
  readonly ceremony: CeremonyFile;
  readonly directory: string;
  /** One per token; `slots[0]` was the origin. */
  readonly slots: readonly [SlotConfiguration, SlotConfiguration];
}

const names = ['a', 'b'] as const;

/**
 * Two tokens that share a master key. The ceremony is performed once and its tokens are copied after that, until the code
 * that makes them changes; a test of the ceremony itself performs it. Its
 * backup token is backupFor(ceremonyFile).
 */
export async function createKeyStore(t: Cleanup): Promise<SoftKeyStore> {
  const directory = temporaryDirectory(t);
  cpSync(await template(), directory, { recursive: true });
  const [a, b] = names.map((name) => slotIn(join(directory, name), name)); // writes the paths of the copy
  if (a === undefined || b === undefined) throw new Error('two names make two slots');
  const ceremonyFile = join(directory, 'ceremony.json');
  return { keyStore: 'store', ceremonyFile, ceremony: readCeremonyFile(ceremonyFile), directory, slots: [a, b] };
}

/** A ceremony's configuration for these slots. Its backup token, unless another is given, must be made by `addToken(backupFor(…))`. */
export function ceremonyFor(
  slots: readonly SlotConfiguration[],
  ceremonyFile: string,
  { keyStore = 'store', backup = backupFor(ceremonyFile) }: { keyStore?: string; backup?: SlotConfiguration } = {},
): CeremonyConfiguration {
  const tokens = slots.map(asToken);
  // Beside the PIN of the backup token: a protocol file stands alone.
  const stateDirectory = join(dirname(backup.pinFile), 'state');
  const common = { kind: 'ceremony', keyStore, ceremonyFile, stateDirectory };
  return ceremonyConfiguration.parse({ ...common, backup: asToken(backup), tokens });
}

function asToken({
  name,
  module,
  environment,
  tokenLabel,
  tokenSerial,
  pinFile,
  pinGuardGroup,
  wrap,
}: SlotConfiguration) {
  return { name, module, environment, tokenLabel, tokenSerial, pinFile, pinGuardGroup, wrap };
}

/** The backup token of a ceremony, in a directory beside its protocol file. */
export function backupFor(ceremonyFile: string): SlotConfiguration {
  return slotIn(`${ceremonyFile}.backup`, 'backup');
}

/** A rehearsed ceremony with a new backup token, for tests of something else. */
export async function holdCeremony(
  slots: readonly SlotConfiguration[],
  ceremonyFile: string,
  keyStore = 'store',
): Promise<CeremonyFile> {
  const configuration = ceremonyFor(slots, ceremonyFile, { keyStore });
  await addToken(backupFor(ceremonyFile));
  return await performCeremony(
    configuration,
    nobody(() => {}),
  );
}

async function template(): Promise<string> {
  const kept = join(root, '.cache/test-key-store', fingerprint());
  if (existsSync(kept)) return kept;
  mkdirSync(join(root, '.cache/test-key-store'), { recursive: true });
  const unfinished = `${kept}.${randomUUID()}`;
  try {
    const slots = names.map((name) => slotIn(join(unfinished, name), name));
    for (const slot of slots) await addToken(slot);
    await holdCeremony(slots, join(unfinished, 'ceremony.json'));
    renameSync(unfinished, kept);
  } catch (error) {
    if (!existsSync(kept)) throw error; // else another test was quicker
  } finally {
    rmSync(unfinished, { recursive: true, force: true });
  }
  return kept;
}

/** Of everything the template is made by: the ceremony's code, this file, and the module. */
export function fingerprint(): string {
  const hash = createHash('sha256');
  for (const folder of ['src/ceremony', 'src/worker/hsm']) {
    const files = readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' });
    for (const file of files.filter((one) => one.endsWith('.ts')).sort())
      hash.update(file).update(readFileSync(join(root, folder, file)));
  }
  hash.update(readFileSync(join(root, 'src/shared/ceremony-file.ts')));
  const { module } = facts();
  const { size, mtimeMs } = statSync(module);
  return hash
    .update(readFileSync(import.meta.filename))
    .update(`${module} ${size} ${mtimeMs}`)
    .digest('hex')
    .slice(0, 16);
}
