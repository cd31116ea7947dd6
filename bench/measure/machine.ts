import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { cpus, loadavg, release, totalmem } from 'node:os';
import { repository } from '../../scripts/local/places.ts';

/** Where the figures come from: a table without it says nothing. */
export interface Machine {
  readonly date: string;
  readonly commit: string;
  readonly cpu: string;
  readonly cores: number;
  readonly memoryGb: number;
  readonly system: string;
  readonly node: string;
  readonly openssl: string;
  readonly module: string;
  /** Over the last minute when the run began: above 0.5 somebody else used the machine. */
  readonly loadBefore: number;
}

export function machineFacts(module: string): Machine {
  return {
    date: new Date().toISOString(),
    commit: commit(),
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    cores: cpus().length,
    memoryGb: Math.round(totalmem() / 2 ** 30),
    system: `${distribution()}, ${process.platform} ${release()}`,
    node: process.version,
    openssl: process.versions.openssl ?? 'unknown',
    module: module.split('/').at(-1) ?? module,
    loadBefore: Math.round((loadavg()[0] ?? 0) * 100) / 100,
  };
}

function commit(): string {
  try {
    const git = (...args: string[]) => execFileSync('git', args, { cwd: repository, encoding: 'utf8' }).trim();
    return `${git('rev-parse', '--short', 'HEAD')}${git('status', '--porcelain') === '' ? '' : ' with changes'}`;
  } catch {
    return 'unknown';
  }
}

function distribution(): string {
  try {
    return /^PRETTY_NAME="?(.*?)"?$/m.exec(readFileSync('/etc/os-release', 'utf8'))?.[1] ?? 'unknown';
  } catch {
    return 'unknown';
  }
}
