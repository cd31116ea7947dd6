import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { repository } from '../scripts/local/places.ts';
import { apiConfiguration } from '../src/shared/configuration/api.ts';
import { loadConfiguration } from '../src/shared/configuration/load.ts';
import { exitCodes } from '../src/shared/exit-codes.ts';

/** The systemd units: hardened, and in step with how the processes stop and end. */
const units = ['hsm-driver@.service', 'hsm-signing-api.service'] as const;
const folder = join(repository, 'deploy/systemd');

function settings(unit: string): ReadonlyMap<string, string> {
  const lines = readFileSync(join(folder, unit), 'utf8').split('\n');
  return new Map(
    lines
      .filter((line) => /^[A-Z]\w+=/.test(line))
      .map((line) => [line.split('=')[0] ?? '', line.replace(/^\w+=/, '')]),
  );
}

t.test('both units take away what the processes do not need', async (t) => {
  for (const unit of units) {
    const set = settings(unit);
    const wanted = {
      NoNewPrivileges: 'yes',
      CapabilityBoundingSet: '',
      ProtectSystem: 'strict',
      ProtectHome: 'yes',
      PrivateTmp: 'yes',
      RestrictNamespaces: 'yes',
      RestrictSUIDSGID: 'yes',
      SystemCallArchitectures: 'native',
      LimitCORE: '0',
      UMask: '0077',
    };
    for (const [name, value] of Object.entries(wanted)) t.equal(set.get(name), value, `${unit}: ${name}`);
    t.not(set.get('User'), undefined);
  }
  t.not(settings(units[0]).get('User'), settings(units[1]).get('User'), 'two users: the API cannot read a PIN');
});

t.test('a node that a person must mend is not started again', async (t) => {
  const never = (set: ReadonlyMap<string, string>) =>
    (set.get('RestartPreventExitStatus') ?? '').split(' ').map(Number);
  const { USAGE, CONFIGURATION, SECRET_FILE, MODULE, PIN, LISTEN } = exitCodes;
  t.strictSame(
    never(settings(units[0])),
    [USAGE, CONFIGURATION, SECRET_FILE, MODULE, PIN, LISTEN].map(({ code }) => code),
  );
  t.strictSame(
    never(settings(units[1])),
    [USAGE, CONFIGURATION, SECRET_FILE, LISTEN].map(({ code }) => code),
  );
});

t.test(
  'systemd itself finds nothing wrong with them, and little exposed',
  { skip: !existsSync('/usr/bin/systemd-analyze') && 'no systemd-analyze' },
  async (t) => {
    for (const unit of units) {
      const text = execFileSync('systemd-analyze', ['security', '--offline=true', join(folder, unit)], {
        encoding: 'utf8',
      });
      const level = Number(/Overall exposure level for \S+: ([\d.]+)/.exec(text)?.[1]);
      t.ok(level > 0 && level < 2.5, `${unit}: ${level}`);
    }
  },
);

t.test('the sample of the API’s configuration loads as it is', async (t) => {
  t.equal(loadConfiguration(join(repository, 'deploy/samples/api.yaml'), apiConfiguration).kind, 'api');
});
