import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import type { z } from 'zod';
import type { ApiFile, NodeFile } from '../../scripts/local/installation.ts';
import { repository } from '../../scripts/local/places.ts';

const run = promisify(execFile);

/**
 * What plays version N-1 until there is a release: the state of this repository after this commit. It is named by its
 * subject, which survives a rebase. With the first release this becomes the last release's tag.
 */
const lastCommit = "Give each migration of the API's database a file of its own";

export interface EarlierVersion {
  /** Its sources; they share this clone's packages. */
  readonly sources: string;
  /** Today's configuration as this version had it, without what it does not know; so is the protocol file it names. */
  node(file: NodeFile): Promise<NodeFile>;
  api(file: ApiFile): Promise<ApiFile>;
}

/** Checks the earlier version out, once for each clone; or one sentence why that cannot be done. */
export async function openEarlierVersion(): Promise<EarlierVersion | string> {
  let commit: string;
  try {
    const { stdout } = await run('git', ['log', '-1', '--format=%H', '--fixed-strings', `--grep=${lastCommit}`], {
      cwd: repository,
    });
    commit = stdout.trim();
  } catch (error) {
    return `git does not tell this clone's history (${(error as Error).message.split('\n')[0]})`;
  }
  if (commit === '') return 'the history of this clone does not reach back to the earlier version';
  const sources = join(repository, '.cache/earlier-version', commit);
  if (!existsSync(sources)) await checkOut(commit, sources);
  return {
    sources,
    async node(file) {
      const { ceremonyFile } = await schemas(sources, 'ceremony-file');
      const { driverConfiguration } = await schemas(sources, 'configuration/driver');
      const protocol = JSON.parse(readFileSync(file.ceremonyFile, 'utf8')) as object;
      const older = file.ceremonyFile.replace(/(\.earlier)?\.json$/, '.earlier.json');
      writeFileSync(older, JSON.stringify(withoutUnknown(ceremonyFile, { ...protocol, version: 1 })));
      return withoutUnknown(driverConfiguration, { ...file, ceremonyFile: older });
    },
    api: async (file) => withoutUnknown((await schemas(sources, 'configuration/api')).apiConfiguration, file),
  };
}

/** Several processes may do it at once: each has a folder of its own, and the first one to finish stays. */
async function checkOut(commit: string, sources: string): Promise<void> {
  const unfinished = `${sources}.${randomUUID()}`;
  mkdirSync(unfinished, { recursive: true });
  try {
    const archive = `${unfinished}.tar`;
    await run('git', ['archive', '--output', archive, commit, 'src', 'package.json'], { cwd: repository });
    await run('tar', ['-xf', archive, '-C', unfinished]);
    rmSync(archive);
    symlinkSync(join(repository, 'node_modules'), join(unfinished, 'node_modules'));
    renameSync(unfinished, sources);
  } catch (error) {
    if (!existsSync(sources)) throw error;
  } finally {
    rmSync(unfinished, { recursive: true, force: true });
  }
}

async function schemas(sources: string, name: string): Promise<Record<string, z.ZodType>> {
  return await import(pathToFileURL(join(sources, `src/shared/${name}.ts`)).href);
}

/** A file as an older program had it. What it would refuse for another reason than a key that is new stays refused. */
function withoutUnknown<File>(schema: z.ZodType | undefined, file: File): File {
  const older = structuredClone(file);
  for (const issue of schema?.safeParse(older).error?.issues ?? []) {
    if (issue.code !== 'unrecognized_keys') continue;
    const section = issue.path.reduce<unknown>((value, key) => (value as Record<PropertyKey, unknown>)[key], older);
    for (const key of issue.keys) delete (section as Record<string, unknown>)[key];
  }
  return older;
}
