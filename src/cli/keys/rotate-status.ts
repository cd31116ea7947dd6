import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import { type Rotation, readRotations } from '../../shared/rotation/rotation-rows.ts';
import type { Command } from '../command.ts';
import { withDriverDatabase } from '../driver-database.ts';
import { startProgress } from '../progress.ts';
import { rotationText } from './rotation-text.ts';

/** `hsm-driver rotate status`: the rotations, newest first; with --watch until the running one ends. */
export const command: Command = {
  name: 'rotate status',
  summary: 'show the key rotations, and how far the running one is',
  example: 'hsm-driver rotate status --config node-1.yaml --watch',
  options: [
    { name: 'watch', summary: 'stay until the running rotation ends or rests', required: false, kind: 'switch' },
    { name: 'json', summary: 'print JSON', required: false, kind: 'switch' },
  ],
  run: ({ config, switches }) =>
    withDriverDatabase(config, 'rotate status', async (pool) => {
      if (switches.has('watch')) await watch(pool);
      const rotations = await readRotations(pool);
      if (switches.has('json')) process.stdout.write(`${JSON.stringify(rotations)}\n`);
      else if (rotations.length === 0) process.stdout.write('No key was ever rotated.\n');
      else for (const one of rotations) process.stdout.write(`${one.startedAt}  ${rotationText(one)}\n`);
    }),
};

const lookMs = 500;

async function watch(pool: pg.Pool): Promise<void> {
  let rotation = await running(pool);
  if (rotation === undefined) return;
  const progress = startProgress(`rotating ${rotation.fromId}`, rotation.total);
  for (; rotation !== undefined; rotation = await running(pool)) {
    progress.at(rotation.moved, rotation.total);
    await sleep(lookMs);
  }
  progress.end();
}

async function running(pool: pg.Pool): Promise<Rotation | undefined> {
  return (await readRotations(pool)).find(({ state }) => state === 'running');
}
