import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parse, stringify } from 'yaml';
import type { NodeStatus } from '../../src/primary/operations/status.ts';
import { readCeremonyFile } from '../../src/shared/ceremony-file.ts';
import { writeOrderFile } from '../../src/shared/orders/order-file.ts';
import { newOrder, readOperatorPrivateKey, signOrder } from '../../src/shared/orders/sign-order.ts';
import {
  type KeysInUse,
  keyStore,
  keysInUse,
  openRotationToken,
  rotationCeremony,
  writeKeysInUse,
} from './installation.ts';
import { openOperator, operatorName } from './operator.ts';
import { placesBelow, repository, standardDirectory } from './places.ts';
import { runCommand, startDriverProcess } from './processes.ts';
import { openSecrets } from './secrets.ts';

/**
 * `npm run rotate`, while `npm start` runs in another terminal: the whole rotation of the master key, step by step, as
 * docs/rotation.md tells operators, with a rotation token and a rotation node that are made for it. Rehearsed: nobody is asked.
 */
const places = placesBelow(process.argv[2] ?? standardDirectory);
const nodes = [1, 2] as const;
const facts = JSON.parse(readFileSync(join(repository, '.cache/setup/facts.json'), 'utf8')) as { module: string };
const installation = { places, secrets: openSecrets(places.secrets), module: facts.module };
const say = (line: string): void => void process.stdout.write(`${line}\n`);

const before = keysInUse(places);
const old = readCeremonyFile(before.current).masterKey.id;
if (before.further.length > 0 && !/, (finished|destroyed),/.test(await newest()))
  throw new Error(`the rotation before was not finished: ${await newest()}`);
await Promise.all(nodes.map(status)).catch(() => {
  throw new Error('npm start must be running: no node answers');
});

say(`1. The next master key, beside ${old}, and a rotation token`);
const number = 2 + nextNumber();
const nextFile = join(places.root, `ceremony/protocol-${number}.json`);
const token = await openRotationToken(installation, number);
const ceremony = join(places.root, `ceremony/config-${number}.yaml`);
writeFileSync(ceremony, stringify(rotationCeremony(installation, before.current, token)));
await command('ceremony', 'next-master-key', '--config', ceremony, '--out', nextFile, '--yes');
writeFileSync(ceremony, stringify(rotationCeremony(installation, nextFile, token)));
await command('ceremony', 'check', '--config', ceremony, '--yes');
await command('ceremony', 'go-live', '--config', ceremony, '--rehearsal', '--yes');
const next = readCeremonyFile(nextFile).masterKey.id;

say(`2. Both nodes learn of ${next}, then make new keys under it; signing goes on`);
await useKeys({ current: before.current, further: [nextFile] });
await useKeys({ current: nextFile, further: [before.current] });

say('3. The rotation node');
const rotationConfig = join(places.root, `nodes/rotation-${number}/config.yaml`);
const rotation = startRotationNode();
await rotation.line('slot ready');

try {
  say('4. The rotation');
  await started();
  for (let told = ''; ; ) {
    const line = await newest();
    if (line !== told) say(`   ${line}`);
    told = line;
    if (/, (finished|aborted),/.test(line)) break;
    await sleep(1_000);
  }
} finally {
  await rotation.stop();
}
const destruction = join(places.root, `ceremony/destroy-${number}.yaml`);
writeFileSync(destruction, stringify(rotationCeremony(installation, before.current, token)));
const order = join(places.operator, `rotation-${number}.destroy.json`);
writeOrder(order, 'destroy');
say(`Done. ${old} is still on the tokens. To destroy it there, which ends what was deleted and every older backup:`);
say(
  `  node src/cli/main.ts rotate destroy-old --config ${places.shown(nodeConfig(1))} --ceremony ${places.shown(destruction)} --order ${places.shown(order)} --yes`,
);

function nextNumber(): number {
  let taken = 0;
  while (existsSync(join(places.root, `ceremony/protocol-${2 + taken}.json`))) taken += 1;
  return taken;
}

function nodeConfig(n: number): string {
  return join(places.node(n), 'config.yaml');
}

async function command(...args: string[]): Promise<void> {
  say(`   hsm-driver ${args.map((one) => places.shown(one)).join(' ')}`);
  await runCommand(args);
}

async function status(n: number): Promise<NodeStatus> {
  const { operations } = parse(readFileSync(nodeConfig(n), 'utf8')) as { operations: { port: number } };
  return (await (await fetch(`http://127.0.0.1:${operations.port}/status`)).json()) as NodeStatus;
}

/** As an operator does it: the file is edited, SIGHUP replaces the workers one at a time. */
async function useKeys(keys: KeysInUse): Promise<void> {
  writeKeysInUse(places, keys);
  const ids = [keys.current, ...keys.further].map((file) => readCeremonyFile(file).masterKey.id);
  for (const n of nodes) {
    const file = nodeConfig(n);
    const configuration = parse(readFileSync(file, 'utf8')) as object;
    writeFileSync(
      file,
      stringify({ ...configuration, ceremonyFile: keys.current, furtherCeremonyFiles: [...keys.further] }),
    );
    process.kill((await status(n)).pid, 'SIGHUP');
    for (;;) {
      const [slot] = (await status(n)).slots;
      const proven = (slot?.keys ?? []).flatMap(({ id, proven: holds }) => (holds ? [id] : []));
      if (slot?.state === 'ready' && slot.masterKeyId === ids[0] && ids.every((id) => proven.includes(id))) break;
      await sleep(250);
    }
    say(`   node-${n} makes keys under ${ids[0]}, and opens those of ${ids.slice(1).join(', ')}`);
  }
}

function startRotationNode() {
  const { database, operators } = parse(readFileSync(nodeConfig(1), 'utf8')) as Record<string, object>;
  const { name, ...slot } = token;
  const directory = join(places.root, `nodes/rotation-${number}`);
  mkdirSync(directory, { recursive: true });
  writeFileSync(
    rotationConfig,
    stringify({
      ...{
        kind: 'driver',
        node: `rotation-${number}`,
        keyStore,
        database,
        operators,
        rotation: {},
        maintenance: { pollSeconds: 1 },
      },
      ceremonyFile: nextFile,
      furtherCeremonyFiles: [before.current],
      stateDirectory: join(directory, 'state'),
      slots: [{ name, ...slot }],
    }),
  );
  return startDriverProcess('rotation', ['run', '--config', rotationConfig], join(places.logs, 'rotation.log'));
}

/** The nodes say once a second what they hold: until all have, the command names what is missing. */
async function started(): Promise<void> {
  const orderFile = join(places.operator, `rotation-${number}.order.json`);
  writeOrder(orderFile, 'start');
  const order = ['--order', orderFile, '--yes'];
  for (let tries = 0; ; tries += 1) {
    try {
      say(`   ${(await runCommand(['rotate', 'start', '--config', nodeConfig(1), '--from', old, ...order])).trim()}`);
      return;
    } catch (error) {
      if (tries >= 20) throw error;
      await sleep(1_000);
    }
  }
}

/** The local installation’s one operator orders it. */
function writeOrder(file: string, step: 'start' | 'destroy'): void {
  const about = { kind: 'rotation', subject: `${step} master-key ${old} to ${next}` } as const;
  const order = newOrder({ keyStore, about, reason: 'npm run rotate' }, 3_600_000);
  writeOrderFile(
    file,
    signOrder(order, operatorName, readOperatorPrivateKey(openOperator(places).privateKeyFile)),
    'w',
  );
}

async function newest(): Promise<string> {
  return (await runCommand(['rotate', 'status', '--config', nodeConfig(1)])).split('\n')[0] ?? '';
}
