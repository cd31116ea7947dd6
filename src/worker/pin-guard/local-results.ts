import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { z } from 'zod';
import { writeDurably } from '../../shared/durable-file.ts';
import { CodedError } from '../../shared/errors.ts';
import { isResultFile, type KnownRefusals } from './refused-since.ts';

/**
 * What this node itself saw of PINs, in its state directory: still known when the database is lost, restored, or another
 * one. One small file for each PIN on each token; written whole, to disk, before the database is told.
 */
const localResult = z.object({
  guardGroup: z.string(),
  tokenSerial: z.string(),
  tokenLabel: z.string(),
  slot: z.string(),
  version: z.string(),
  state: z.enum(['refused', 'succeeded']),
  attempt: z.string(),
  /** Earlier versions did not write it. */
  follows: z.string().optional(),
  at: z.string(),
});
export type StoredResult = z.infer<typeof localResult>;

/** Which counter a slot's PIN is guarded by: the serial number is known only once the token was seen. */
const slotGroup = z.object({
  slot: z.string(),
  guardGroup: z.string(),
  tokenSerial: z.string(),
  tokenLabel: z.string(),
});
export type SlotGroup = z.infer<typeof slotGroup>;

/** Beside the results, so that earlier versions, which read those, do not meet it. */
const allowance = z.object({ guardGroup: z.string(), at: z.iso.datetime() });
type Allowance = z.infer<typeof allowance>;

export interface LocalResults {
  /** All that are stored. @throws CONFIG_INVALID for a directory that cannot be read. */
  read(): StoredResult[];
  write(result: Omit<StoredResult, 'at'>): void;
  /** Of everything that shares the counter. */
  refusals(guardGroup: string): StoredResult[];
  /** Those of one PIN, for the question whether there is a new one. */
  known(guardGroup: string, version: string): KnownRefusals;
  /** An operator's order. @returns how many refusals were forgotten. */
  forgetRefusals(guardGroup: string): number;
  /** One result, as if there had been no attempt. */
  forget(result: Omit<StoredResult, 'at' | 'state'>): void;
  /** An operator's order where there is no database: one more try, also while the counter is low. */
  allowOnce(guardGroup: string): void;
  /** When that was; undefined when it was not, or the try has been made. */
  allowedAtMs(guardGroup: string): number | undefined;
  useAllowance(guardGroup: string): void;
  noteSlot(group: SlotGroup): void;
  slot(name: string): SlotGroup | undefined;
}

/** @throws CONFIG_INVALID when the directory cannot be made: without it a refusal could be forgotten. */
export function openLocalResults(stateDirectory: string): LocalResults {
  const directory = join(stateDirectory, 'pin-guard');
  attempt(directory, () => mkdirSync(directory, { recursive: true, mode: 0o700 }));
  const results = (): { file: string; result: StoredResult }[] =>
    attempt(directory, () => readdirSync(directory))
      .filter(isResultFile)
      .map((name) => join(directory, name))
      .map((file) => ({ file, result: parse(file, localResult) }));

  function slot(name: string): SlotGroup | undefined {
    const file = slotFile(directory, name);
    return existsSync(file) ? parse(file, slotGroup) : undefined;
  }

  function refused(guardGroup: string): { file: string; result: StoredResult }[] {
    return results().filter(({ result }) => result.guardGroup === guardGroup && result.state === 'refused');
  }

  return {
    read: () => results().map(({ result }) => result),
    write(result) {
      const file = resultFile(directory, result);
      const text = JSON.stringify({ ...result, at: new Date().toISOString() } satisfies StoredResult);
      attempt(directory, () => writeDurably(file, `${text}\n`));
    },
    refusals: (guardGroup) => refused(guardGroup).map(({ result }) => result),
    known(guardGroup, version) {
      const found = refused(guardGroup).filter(({ result }) => result.version === version);
      return { directory, guardGroup, version, attempts: found.map(({ result }) => result.attempt) };
    },
    forgetRefusals(guardGroup) {
      const found = refused(guardGroup);
      for (const { file } of found) attempt(directory, () => rmSync(file));
      return found.length;
    },
    forget: (result) => attempt(directory, () => rmSync(resultFile(directory, result), { force: true })),
    allowOnce(guardGroup) {
      const text = JSON.stringify({ guardGroup, at: new Date().toISOString() } satisfies Allowance);
      attempt(directory, () => writeDurably(allowanceFile(directory, guardGroup), `${text}\n`));
    },
    allowedAtMs(guardGroup) {
      const file = allowanceFile(directory, guardGroup);
      return existsSync(file) ? Date.parse(parse(file, allowance).at) : undefined;
    },
    useAllowance: (guardGroup) =>
      attempt(directory, () => rmSync(allowanceFile(directory, guardGroup), { force: true })),
    noteSlot(group) {
      if (isDeepStrictEqual(slot(group.slot), group)) return;
      attempt(directory, () => writeDurably(slotFile(directory, group.slot), `${JSON.stringify(group)}\n`));
    },
    slot,
  };
}

function resultFile(
  directory: string,
  { guardGroup, tokenSerial, version }: Pick<StoredResult, 'guardGroup' | 'tokenSerial' | 'version'>,
): string {
  const name = createHash('sha256')
    .update(JSON.stringify([guardGroup, tokenSerial, version]))
    .digest('hex');
  return join(directory, `result-${name.slice(0, 32)}.json`);
}

function allowanceFile(directory: string, guardGroup: string): string {
  const name = createHash('sha256').update(guardGroup).digest('hex');
  return join(directory, `allowed-${name.slice(0, 32)}.json`);
}

function slotFile(directory: string, slot: string): string {
  return join(directory, `slot-${slot}.json`);
}

function parse<Schema extends z.ZodType>(file: string, schema: Schema): z.infer<Schema> {
  try {
    return schema.parse(JSON.parse(readFileSync(file, 'utf8')));
  } catch (cause) {
    // What it said is not known, so nothing may be tried: a person looks.
    throw new CodedError('CONFIG_INVALID', `${file} is damaged; look at it, then remove it`, { cause });
  }
}

function attempt<Value>(directory: string, work: () => Value): Value {
  try {
    return work();
  } catch (cause) {
    const why = (cause as NodeJS.ErrnoException).code ?? (cause as Error).message;
    throw new CodedError('CONFIG_INVALID', `stateDirectory: ${directory} cannot be used (${why})`, { cause });
  }
}
