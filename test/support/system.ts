import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { globalAgent } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DfnsApiClient } from '@dfns/sdk';
import { AsymmetricKeySigner } from '@dfns/sdk-keysigner';
import type { Adjustments } from '../../scripts/local/installation.ts';
import { repository } from '../../scripts/local/places.ts';
import type { Program } from '../../scripts/local/processes.ts';
import { type LocalSystem, startSystem } from '../../scripts/local/system.ts';
import { createReleasers } from '../../src/shared/releasers.ts';
import type { Cleanup } from './soft-token.ts';
import { until } from './until.ts';

export interface TestSystem extends LocalSystem {
  readonly sdk: DfnsApiClient;
}

/** tap's `t`, or what else notices that something could not be stopped. */
export interface SystemUser extends Cleanup {
  fail(message: string): unknown;
}

/** How a test’s system differs from a plain one. */
export interface SystemChoices {
  /** A packaged program instead of the sources, and a directory that it sees. */
  readonly program?: Program;
  readonly directory?: string;
  /** As `npm start` has it: drivers check authorisations. */
  readonly enforced?: boolean;
  /** False: its operations servers are elsewhere, nobody asks them whether they are ready. */
  readonly untilReady?: boolean;
}

/** Long enough for any machine: what does not stop at all is found by it, a slow stop is no failure of the test. */
const releaseMs = 60_000;

/** What `npm start` runs, in a directory of the test's own, with an SDK client; gone at the test's end. */
export async function openSystem(
  t: SystemUser,
  adjust: Adjustments = {},
  {
    program,
    directory = mkdtempSync(join(tmpdir(), 'hsm-signing-system-')),
    enforced = false,
    untilReady = true,
  }: SystemChoices = {},
): Promise<TestSystem> {
  const releasers = createReleasers((what, error) => t.fail(`${what} did not stop: ${(error as Error).message}`));
  t.teardown(async () => {
    await releasers.release();
    rmSync(directory, { recursive: true, force: true });
  });
  const { module } = JSON.parse(readFileSync(join(repository, '.cache/setup/facts.json'), 'utf8')) as {
    module: string;
  };
  const ports = { application: 0, driver: 0 };
  const system = await startSystem({
    directory,
    module,
    ports,
    durable: false,
    enforced,
    adjust,
    ...(program && { program }),
    say: () => {},
    releasers: { ...releasers, add: (what, release) => releasers.add(what, release, releaseMs) },
  });
  if (untilReady) await allReady(system);
  // What NODE_EXTRA_CA_CERTS does for a process; the SDK has no option of its own.
  globalAgent.options.ca = readFileSync(system.client.caFile);
  const { baseUrl, orgId, authToken, credentialId, privateKeyPem } = system.client;
  const signer = new AsymmetricKeySigner({ credId: credentialId, privateKey: privateKeyPem });
  return { ...system, sdk: new DfnsApiClient({ baseUrl, orgId, authToken, signer }) };
}

/** Resolves when every node says that it is ready: its slot is, and the API gave it an answer. */
export async function allReady({ ports }: Pick<TestSystem, 'ports'>): Promise<void> {
  for (const port of Object.values(ports.operations)) {
    // A server that does not listen yet says the same as one that answers no.
    await until(`readiness on ${port}`, async () => {
      const answer = await fetch(`http://127.0.0.1:${port}/readyz`).catch(() => undefined);
      return answer?.ok;
    });
  }
}
