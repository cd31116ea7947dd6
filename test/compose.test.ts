import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { parse } from 'yaml';
import { z } from 'zod';
import { repository } from '../scripts/local/places.ts';
import { fromSources } from '../scripts/local/processes.ts';
import { commands } from '../src/cli/commands.ts';
import { trialSigns } from './support/trial.ts';

/** docker-compose.yml: its shape, what it names, and what its containers do, without Docker. */
const read = (file: string): string => readFileSync(join(repository, file), 'utf8');

const condition = z.strictObject({
  condition: z.enum(['service_healthy', 'service_completed_successfully', 'service_started']),
});
const service = z.strictObject({
  image: z.string(),
  build: z.strictObject({ context: z.literal('.'), target: z.string() }).optional(),
  user: z.string().optional(),
  read_only: z.boolean().optional(),
  cap_drop: z.array(z.string()).optional(),
  security_opt: z.array(z.string()).optional(),
  tmpfs: z.array(z.string()).optional(),
  volumes: z.array(z.string().regex(/^[a-z]+:\/[a-z/]+$/)),
  networks: z.array(z.string()),
  restart: z.literal('unless-stopped').optional(),
  stop_grace_period: z
    .string()
    .regex(/^\d+s$/)
    .optional(),
  environment: z.record(z.string(), z.string()).optional(),
  entrypoint: z.array(z.string()).optional(),
  command: z.array(z.string()).optional(),
  ports: z.array(z.string().regex(/^127\.0\.0\.1:\d+:\d+$/)).optional(),
  profiles: z.array(z.string()).optional(),
  depends_on: z.record(z.string(), condition).optional(),
  healthcheck: z
    .strictObject({ test: z.array(z.string()), interval: z.string(), timeout: z.string(), retries: z.int() })
    .optional(),
});
const compose = z
  .strictObject({
    name: z.string(),
    services: z.record(z.string(), service),
    networks: z.record(z.string(), z.strictObject({})),
    volumes: z.record(z.string(), z.strictObject({})),
  })
  .parse(
    Object.fromEntries(
      Object.entries(parse(read('docker-compose.yml'), { merge: true })).filter(([name]) => !name.startsWith('x-')),
    ),
  );
const services = Object.entries(compose.services);
const own = services.filter(([, one]) => one.build !== undefined);

t.test('every service, volume and network that is named is there', async (t) => {
  for (const [name, { depends_on = {}, networks, volumes }] of services) {
    for (const other of Object.keys(depends_on)) t.ok(other in compose.services, `${name}: ${other}`);
    for (const network of networks) t.ok(network in compose.networks, `${name}: ${network}`);
    for (const volume of volumes) t.ok((volume.split(':')[0] ?? '') in compose.volumes, `${name}: ${volume}`);
  }
});

t.test('the images are what the Dockerfile builds, of this version', async (t) => {
  const targets = [...read('Dockerfile').matchAll(/^FROM .* AS (\w+)$/gm)].map(([, target]) => target);
  const { version } = JSON.parse(read('package.json'));
  t.equal(own.length, 5);
  for (const [name, { image, build }] of own) {
    t.ok(targets.includes(build?.target), name);
    t.equal(image, `hsm-signing/hsm-driver-${build?.target}:${version}`);
  }
  t.match(read('helm/Chart.yaml'), `appVersion: ${version}`);
});

t.test('our containers run as nobody, read-only, without capabilities, and every command is one of ours', async (t) => {
  for (const [name, one] of own) {
    t.match(one, { user: '10001:10001', read_only: true, cap_drop: ['ALL'] }, name);
    if (one.entrypoint === undefined) t.ok((one.command?.[0] ?? '') in commands, name);
  }
});

t.test('what prepare makes is what the containers start from, and it signs', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'hsm-signing-trial-'));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  const { module } = JSON.parse(read('.cache/setup/facts.json')) as { module: string };
  await trialSigns(t, directory, {
    prepare: [process.execPath, join(repository, 'deploy/trial/main.ts')],
    hsmDriver: fromSources,
    module,
  });
});
