import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { runCommand } from '../../scripts/local/processes.ts';
import { createKeyStore } from '../support/soft-token.ts';
import type { Fault } from './fault.ts';
import { type FaultSystem, nodeTag } from './fault-system.ts';

/** What people do to a node: PINs, keys, certificates, restarts. */

/** @param logins how many the token may see: none where its flags say already that the next one would be in vain. */
function pinRefused(name: string, logins: number, pin?: 'locked'): Fault {
  let refusedBefore = 0;
  return {
    name,
    async inject(system) {
      refusedBefore = system.control.stats().loginsRefused;
      system.control.set([{ action: 'wrong-pin', tag: nodeTag(1), ...(pin === undefined ? {} : { pin }) }]);
      const worker = (await system.status(1))?.slots[0]?.worker?.pid;
      if (worker !== undefined) process.kill(worker, 'SIGKILL');
    },
    heal: ({ control }) => control.clear(),
    repair: ({ system }) =>
      runCommand(['pin', 'clear', '--config', join(system.places.node(1), 'config.yaml'), '--slot', 'hsm-1', '--yes']),
    expect: { during: ['latched'], staysDown: true, latched: true },
    check({ control }) {
      const refused = control.stats().loginsRefused - refusedBefore;
      return refused === logins ? [] : [`the token saw ${refused} refused logins, not ${logins}`];
    },
  };
}

const cleanUps: (() => void | Promise<void>)[] = [];

const wrongMasterKey: Fault = {
  name: 'wrong master key',
  async inject(system) {
    const stranger = (await createKeyStore({ teardown: (handler) => cleanUps.push(handler) })).slots[0];
    await system.rewriteNode(1, (file) => ({
      ...file,
      slots: file.slots.map((slot) => {
        const { SOFTHSM2_CONF = '' } = stranger.environment;
        const environment = { ...slot.environment, SOFTHSM2_CONF };
        return { ...slot, environment, tokenLabel: stranger.tokenLabel, pinFile: stranger.pinFile };
      }),
    }));
    reload(system, 1);
  },
  heal(system) {
    system.restoreNode(1);
    reload(system, 1);
  },
  async tidy() {
    for (const cleanUp of cleanUps.splice(0)) await cleanUp();
  },
  async check(system) {
    const fault = (await system.status(1))?.slots[0]?.lastFault?.code;
    return fault?.startsWith('MASTER_KEY') === true ? [] : [`the last fault was ${fault}, not the master key`];
  },
  expect: { during: ['recovering'], staysDown: true },
  lastsMs: 4_000,
};

const certificateFiles = ({ system }: FaultSystem): readonly string[] =>
  ['pem', 'key'].map((ending) => join(system.places.driverCertificates, `node-1.${ending}`));
let goodCertificate: readonly Buffer[] = [];

const certificateExpired: Fault = {
  name: 'certificate expired',
  async inject(system) {
    const { issueExpired } = await import('../support/expired-certificate.ts');
    const files = certificateFiles(system);
    goodCertificate = files.map((file) => readFileSync(file));
    const expired = await issueExpired(system.system.places.driverCertificates, 'node-1');
    for (const [at, file] of files.entries()) writeFileSync(file, expired[at] ?? '');
    system.wires.api[1]?.cut();
  },
  heal(system) {
    for (const [at, file] of certificateFiles(system).entries()) writeFileSync(file, goodCertificate[at] ?? '');
  },
  expect: { during: ['ready (API lost)'] },
  lastsMs: 4_000,
};

const rollingRestart: Fault = {
  name: 'every node restarted: twice SIGTERM, once SIGKILL',
  async inject(system) {
    for (const signal of ['SIGTERM', 'SIGTERM', 'SIGKILL'] as const)
      for (const n of system.nodes.keys()) await system.restartNode(n, signal);
  },
  expect: { during: ['not reachable'] },
  hitsBoth: true,
};

export const operatorFaults: readonly Fault[] = [
  pinRefused('wrong PIN', 1),
  pinRefused('locked PIN', 0, 'locked'),
  wrongMasterKey,
  certificateExpired,
  rollingRestart,
];

function reload(system: FaultSystem, n: number): void {
  const node = system.nodes.get(n);
  if (node !== undefined) process.kill(node.pid, 'SIGHUP');
}
