import { existsSync, readFileSync } from 'node:fs';
import { type Check, type Finding, good, problem, warning } from './check.ts';

/** The oldest Node.js that runs this program (package.json, `engines`). */
const oldestNode = [22, 19] as const;

/** What could make a process that holds a PIN write its memory somewhere, or open a door into it. */
export function processHygiene(environment: NodeJS.ProcessEnv = process.env, version = process.versions.node): Check {
  return {
    name: 'process',
    look: async () => [nodeVersion(version), nodeOptions(environment), coreDumps()],
  };
}

function nodeVersion(version: string): Finding {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  const [oldestMajor, oldestMinor] = oldestNode;
  const enough = major > oldestMajor || (major === oldestMajor && minor >= oldestMinor);
  return enough
    ? good(`Node.js ${version}`)
    : problem(`Node.js ${version} is too old`, `Install Node.js ${oldestNode.join('.')} or newer`);
}

/** Workers get no NODE_OPTIONS whatever stands here; the primary and the API would. */
function nodeOptions({ NODE_OPTIONS: options = '' }: NodeJS.ProcessEnv): Finding {
  if (options === '') return good('NODE_OPTIONS is not set');
  return warning('NODE_OPTIONS is set', 'Unset it for this service: it can open an inspector or write heap snapshots');
}

/** A core dump of a worker holds its PIN and what is unwrapped; the kernel's filter and the limit each prevent it. */
function coreDumps(): Finding {
  if (!existsSync('/proc/self/limits')) return good('core dumps are not known on this system');
  const limit = /^Max core file size\s+(\S+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1];
  const filter = Number.parseInt(readFileSync('/proc/self/coredump_filter', 'utf8'), 16);
  if (limit === '0' || filter === 0) return good('no process of this program leaves its memory in a core dump');
  return warning(
    `core dumps are allowed (limit ${limit}, filter 0x${filter.toString(16)})`,
    'Set LimitCORE=0 in the systemd unit, or ulimit -c 0, for this service',
  );
}
