import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Test } from 'tap';
import { openAuthority } from '../../scripts/local/certificates.ts';

export interface Pair {
  readonly certificateFile: string;
  readonly privateKeyFile: string;
}

/** A test's own certificates: one CA for the API's server, one for drivers, EC P-256, in a directory that goes with it. */
export interface TestCertificates {
  /** What drivers trust. */
  readonly serverCaFile: string;
  readonly server: Pair;
  /** What the API trusts. */
  readonly clientCaFile: string;
  client(node: string): Promise<Pair>;
  /** A certificate of the same name that another CA signed. */
  strangerClient(node: string): Promise<Pair>;
}

export async function makeCertificates(t: Test): Promise<TestCertificates> {
  const directory = mkdtempSync(join(tmpdir(), 'hsm-signing-certificates-'));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  const servers = await openAuthority(join(directory, 'servers'), 'Test API CA');
  const drivers = await openAuthority(join(directory, 'drivers'), 'Test driver CA');
  const strangers = await openAuthority(join(directory, 'strangers'), 'Another CA');
  return {
    serverCaFile: servers.certificateFile,
    server: await servers.issue('signing-api', 'server'),
    clientCaFile: drivers.certificateFile,
    client: (node) => drivers.issue(node, 'client'),
    strangerClient: (node) => strangers.issue(node, 'client'),
  };
}
