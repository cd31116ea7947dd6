import { join, resolve } from 'node:path';

/** The repository, and where the local installation lives: everything below `.local/` can be deleted to start anew. */
export const repository = resolve(import.meta.dirname, '../..');
export const standardDirectory = join(repository, '.local');

export interface Places {
  readonly root: string;
  readonly postgres: string;
  readonly secrets: string;
  readonly applicationCertificates: string;
  readonly driverCertificates: string;
  readonly logs: string;
  readonly ceremony: string;
  readonly ceremonyFile: string;
  /** Which protocol files the nodes work with, once a key was rotated. */
  readonly keysInUse: string;
  /** Key of the operator, lists and orders. */
  readonly operator: string;
  readonly apiConfig: string;
  readonly client: string;
  readonly samples: string;
  node(n: number): string;
  token(n: number): string;
  readonly backupToken: string;
  /** A path as people want to read it: relative to the repository where it is inside. */
  shown(path: string): string;
}

export function placesBelow(directory: string): Places {
  const root = resolve(directory);
  return {
    root,
    postgres: join(root, 'postgres/data'),
    secrets: join(root, 'secrets'),
    applicationCertificates: join(root, 'certificates/application'),
    driverCertificates: join(root, 'certificates/drivers'),
    logs: join(root, 'logs'),
    ceremony: join(root, 'ceremony/config.yaml'),
    ceremonyFile: join(root, 'ceremony/protocol.json'),
    operator: join(root, 'operator'),
    keysInUse: join(root, 'ceremony/keys-in-use.json'),
    apiConfig: join(root, 'api/config.yaml'),
    client: join(root, 'client.json'),
    samples: join(root, 'samples.json'),
    node: (n) => join(root, `nodes/${n}`),
    token: (n) => join(root, `tokens/hsm-${n}`),
    backupToken: join(root, 'tokens/backup'),
    shown: (path) => (path.startsWith(`${repository}/`) ? path.slice(repository.length + 1) : path),
  };
}
