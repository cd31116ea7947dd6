import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { stringify } from 'yaml';
import { keyStore, openRotationToken, rotationCeremony } from '../../scripts/local/installation.ts';
import { runCommand, startDriverProcess } from '../../scripts/local/processes.ts';
import { openSecrets } from '../../scripts/local/secrets.ts';
import { readCeremonyFile } from '../../src/shared/ceremony-file.ts';
import { driverConfiguration } from '../../src/shared/configuration/driver.ts';
import { loadConfiguration } from '../../src/shared/configuration/load.ts';
import { type Rotation, readRotations } from '../../src/shared/rotation/rotation-rows.ts';
import { interleave } from '../measure/interleave.ts';
import { runSystem } from '../measure/system-run.ts';
import type { Section } from '../report/figures.ts';
import type { Stage } from '../stage.ts';

/** What a rotation of the master key takes from signing: the same load while it goes on and while it is paused, in turn. */
export async function measureRotation(stage: Stage): Promise<Section> {
  const { plan, releasers, system } = stage;
  const curve = 'secp256k1';
  const request = { kind: 'sign', keys: await stage.keys(curve, plan.rotatedKeys) } as const;
  const from = readCeremonyFile(system.places.ceremonyFile).masterKey.id;
  const rotationNode = await prepareRotation(stage);
  const node = startDriverProcess(
    'rotation',
    ['run', '--config', rotationNode],
    join(system.places.logs, 'rotation.log'),
  );
  releasers.add('rotation node', () => node.stop());
  await node.line('slot ready');
  const pool = driverDatabase(stage);
  releasers.add('rotation rows', () => pool.end());
  const now = async (): Promise<Rotation> => {
    const [rotation] = await readRotations(pool);
    if (rotation === undefined) throw new Error('there is no rotation');
    return rotation;
  };
  const rotate = (step: string, ...args: readonly string[]) =>
    runCommand(['rotate', step, '--config', stage.configFile(1), ...args]);

  await started(() => rotate('start', '--from', from, '--yes'));
  const load = () => runSystem(stage, { request, pace: { inFlight: plan.inFlight }, ms: plan.blockMs });
  const moved: number[] = [];
  async function whileItGoesOn() {
    if ((await now()).state === 'paused') await rotate('resume');
    const before = (await now()).moved;
    while ((await now()).moved === before) await sleep(100);
    const [first, began] = [(await now()).moved, performance.now()];
    const run = await load();
    const last = await now();
    if (last.state !== 'running') throw new Error('the rotation ended while it was measured: it needs more keys');
    moved.push((1_000 * (last.moved - first)) / (performance.now() - began));
    return run;
  }
  async function whileItRests() {
    if ((await now()).state === 'running') await rotate('pause');
    // A batch that was under way is moved to its end.
    for (let before = -1; before !== (await now()).moved; await sleep(1_000)) before = (await now()).moved;
    const before = (await now()).moved;
    const run = await load();
    if ((await now()).moved !== before) throw new Error('the rotation went on while it was paused');
    return run;
  }
  await whileItRests();
  const pairs = await interleave(plan.rounds, whileItGoesOn, whileItRests);
  await node.stop();
  return {
    title: 'Rotation of the master key',
    about: `${curve}; the rotation node and its token on the same cores, at its default pace.`,
    figures: [
      {
        id: 'rotation rests',
        what: 'signing while it is paused',
        unit: '/s',
        samples: pairs.map(({ other }) => other.result.perSecond),
      },
      {
        id: 'rotation runs',
        what: 'signing while it goes on',
        unit: '/s',
        samples: pairs.map(({ one }) => one.result.perSecond),
      },
      {
        id: 'rotation share',
        what: 'goes on ÷ paused',
        unit: '%',
        samples: pairs.map(({ one, other }) => (100 * one.result.perSecond) / other.result.perSecond),
        target: { least: 90 },
      },
      { id: 'rotation keys', what: 'keys moved meanwhile', unit: '/s', samples: moved },
    ],
  };
}

/** The next master key on all tokens, node 1 with both; as docs/rotation.md tells it. @returns the rotation node’s configuration. */
async function prepareRotation(stage: Stage): Promise<string> {
  const { places } = stage.system;
  const installation = { places, secrets: openSecrets(places.secrets), module: stage.slot(1).module };
  const nextFile = join(places.root, 'ceremony/protocol-2.json');
  const { name, ...slot } = await openRotationToken(installation, 2);
  const ceremony = join(places.root, 'ceremony/config-2.yaml');
  const write = (file: string) =>
    writeFileSync(ceremony, stringify(rotationCeremony(installation, file, { name, ...slot })));
  write(places.ceremonyFile);
  await runCommand(['ceremony', 'next-master-key', '--config', ceremony, '--out', nextFile, '--yes']);
  write(nextFile);
  await runCommand(['ceremony', 'check', '--config', ceremony, '--yes']);
  await runCommand(['ceremony', 'go-live', '--config', ceremony, '--rehearsal', '--yes']);
  const keys = { ceremonyFile: nextFile, furtherCeremonyFiles: [places.ceremonyFile] };
  await stage.useNode(1, {}, keys);
  const directory = join(places.root, 'nodes/rotation');
  mkdirSync(directory, { recursive: true });
  const file = join(directory, 'config.yaml');
  const { database } = loadConfiguration(stage.configFile(1), driverConfiguration);
  const configuration = {
    ...{ kind: 'driver', node: 'rotation', keyStore, database, rotation: {}, maintenance: { pollSeconds: 1 } },
    ...keys,
    ...{ stateDirectory: join(directory, 'state'), slots: [{ name, ...slot }] },
  };
  writeFileSync(file, stringify(configuration));
  return file;
}

/** The nodes say once a second what they hold: until then the command is refused. */
async function started(start: () => Promise<string>): Promise<void> {
  for (let tries = 0; ; tries += 1) {
    try {
      await start();
      return;
    } catch (error) {
      if (tries >= 20) throw error;
      await sleep(1_000);
    }
  }
}

function driverDatabase({ system: { server, databases } }: Stage): pg.Pool {
  const { host, port, superuser: user, superuserPassword: password } = server;
  return new pg.Pool({ host, port, user, password, database: databases.driver.name, max: 1 });
}
