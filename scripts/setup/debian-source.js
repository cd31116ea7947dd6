import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { run, SetupError } from './command.js';
import { onPath } from './toolchain.js';

const keyring = '/usr/share/keyrings/debian-archive-keyring.gpg';
/** The release whose source packages are taken, whatever release this machine runs: one recipe, one result. */
const release = 'trixie';

/**
 * Fetches a Debian source package and unpacks it, Debian's patches applied. Uses an apt state of its own below `folder`:
 * nothing of the system changes and root is not needed. apt checks the archive's signature against Debian's keyring.
 * @param {string} name source package
 * @param {string} folder does not exist yet
 * @returns {Promise<string>} the unpacked sources
 */
export async function fetchDebianSource(name, folder) {
  if (!onPath('apt-get') || !existsSync(keyring)) {
    throw new SetupError('Debian source packages need apt-get and the package debian-archive-keyring');
  }
  mkdirSync(join(folder, 'lists/partial'), { recursive: true });
  mkdirSync(join(folder, 'cache/archives/partial'), { recursive: true });
  const list = join(folder, 'sources.list');
  const state = {
    'Dir::Etc::sourcelist': list,
    'Dir::Etc::sourceparts': '/dev/null',
    'Dir::State::lists': join(folder, 'lists'),
    'Dir::Cache': join(folder, 'cache'),
    // The sandbox user could not write below a folder that only its owner may enter.
    'APT::Sandbox::User': process.getuid?.() === 0 ? 'root' : '',
    'Acquire::Retries': '2',
    // Without it apt-get update calls an archive that it cannot reach a success.
    'APT::Update::Error-Mode': 'any',
  };
  const options = [
    '-qq',
    ...Object.entries(state).flatMap(([key, value]) => (value === '' ? [] : ['-o', `${key}=${value}`])),
  ];

  const mirrors = [...new Set([...systemMirrors(), 'http://deb.debian.org/debian'])];
  let problem = '';
  for (const mirror of mirrors) {
    writeFileSync(list, `deb-src [signed-by=${keyring}] ${mirror} ${release} main\n`);
    problem = await download(name, options, folder);
    if (problem !== '') continue;
    const description = readdirSync(folder).find((file) => file.endsWith('.dsc'));
    // apt has already checked the file against the signed list; the packager's own key is not in this keyring.
    await run('dpkg-source', ['--no-check', '-x', description, 'source'], { cwd: folder });
    return join(folder, 'source');
  }
  throw new SetupError(`the source package ${name} could not be fetched from ${mirrors.join(' or ')} (${problem})`);
}

/** Answers what went wrong, or ''. */
async function download(name, options, folder) {
  for (const step of [['update'], ['source', '--download-only', name]]) {
    const how = { cwd: folder, timeoutMs: 180_000, mayFail: true };
    const { code, stderr } = await run('apt-get', [...options, ...step], how);
    if (code !== 0)
      return stderr.split('\n').find((line) => line.startsWith('E: ')) ?? `apt-get ${step[0]}: exit code ${code}`;
  }
  return '';
}

/** The Debian mirrors this machine is set to use, in both formats of apt. */
function systemMirrors() {
  const base = '/etc/apt/sources.list.d';
  const files = [
    '/etc/apt/sources.list',
    ...(existsSync(base) ? readdirSync(base).map((file) => join(base, file)) : []),
  ];
  const mirrors = [];
  for (const file of files.filter((path) => existsSync(path))) {
    const text = readFileSync(file, 'utf8').replace(/^\s*#.*\n/gm, '');
    if (file.endsWith('.sources')) {
      for (const stanza of text.split(/\n\s*\n/))
        mirrors.push(...(/^URIs:(.*)$/im.exec(stanza)?.[1] ?? '').split(/\s+/));
    } else if (file.endsWith('.list')) {
      for (const line of text.matchAll(/^\s*deb(?:-src)?\s+(?:\[[^\]]*\]\s+)?(\S+)/gm)) mirrors.push(line[1]);
    }
  }
  // The security archive has no source packages of the release itself, other vendors' archives none of Debian's.
  return mirrors.map((url) => url.replace(/\/+$/, '')).filter((url) => /^https?:.*\/debian$/.test(url));
}
