import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { z } from 'zod';
import { writeDurably } from '../../shared/durable-file.ts';
import { CodedError } from '../../shared/errors.ts';
import { freezeScope } from '../../shared/freezes/freeze.ts';

/**
 * What this node has seen of the key store's policy, in its state directory: a database that lost rows, was restored, or
 * is another one can neither thaw what was frozen nor bring an old list of credentials back. A file for each slot, so
 * that workers do not write over each other; all of them are read.
 */
const seenPolicy = z.object({
  /** The newest list that was in force here. */
  credentialList: z.object({ version: z.number(), sha256: z.string() }).optional(),
  frozen: z.array(z.object({ id: z.string(), scope: freezeScope, subject: z.string() })),
});
export type SeenPolicy = z.infer<typeof seenPolicy>;

export interface LocalPolicy {
  /** What any slot of this node has seen. */
  readonly seen: SeenPolicy;
  /** Durable when it returns. @throws CONFIG_INVALID */
  note(policy: SeenPolicy): void;
}

/** @throws CONFIG_INVALID for a directory that cannot be used, and for a damaged file: what it said is not known. */
export function openLocalPolicy(stateDirectory: string, slot: string): LocalPolicy {
  const directory = join(stateDirectory, 'policy');
  const own = join(directory, `${slot}.json`);
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
  } catch (cause) {
    throw new CodedError('CONFIG_INVALID', `stateDirectory: ${directory} cannot be made`, { cause });
  }
  const files = readdirSync(directory).filter((name) => name.endsWith('.json'));
  const all = files.map((name) => readSeen(join(directory, name)));
  const lists = all.flatMap(({ credentialList }) => credentialList ?? []);
  const newest = lists.toSorted((one, other) => other.version - one.version)[0];
  const frozen = new Map(all.flatMap((one) => one.frozen).map((freeze) => [freeze.id, freeze]));
  let noted = existsSync(own) ? readSeen(own) : undefined;
  return {
    seen: { frozen: [...frozen.values()], ...(newest === undefined ? {} : { credentialList: newest }) },
    note(policy) {
      if (isDeepStrictEqual(policy, noted)) return;
      try {
        writeDurably(own, `${JSON.stringify(policy)}\n`);
      } catch (cause) {
        throw new CodedError('CONFIG_INVALID', `stateDirectory: ${own} cannot be written`, { cause });
      }
      noted = policy;
    },
  };
}

function readSeen(file: string): SeenPolicy {
  try {
    return seenPolicy.parse(JSON.parse(readFileSync(file, 'utf8')));
  } catch (cause) {
    throw new CodedError('CONFIG_INVALID', `${file} is damaged; look at it, then remove it`, { cause });
  }
}
