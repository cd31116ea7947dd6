import { listNodes, type NodeOnList } from '../../api/driver/driver-nodes.ts';
import type { ApiConfiguration } from '../../shared/configuration/api.ts';
import type { Command } from '../command.ts';
import { table } from '../table.ts';
import { withApiDatabase } from './api-database.ts';

export const command: Command = {
  name: 'api driver list',
  summary: 'list the driver nodes that may ask for work, and those that were revoked',
  example: 'hsm-driver api driver list --config api.yaml',
  options: [{ name: 'json', summary: 'print JSON', required: false, kind: 'switch' }],
  async run({ config, switches }) {
    await withApiDatabase(config, 'api driver', async (pool, configuration) => {
      const nodes = listed(await listNodes(pool), configuration);
      process.stdout.write(switches.has('json') ? `${JSON.stringify(nodes)}\n` : shown(nodes));
    });
  },
};

interface ShownNode {
  readonly name: string;
  readonly keyStore: string;
  readonly state: 'listed' | 'revoked';
  readonly source: 'database' | 'configuration';
  readonly knownBy: string;
}

/** As the API sees it: a row of the database counts before the configuration. */
function listed(nodes: readonly NodeOnList[], { driver }: ApiConfiguration): ShownNode[] {
  const inDatabase = nodes.map(
    (node): ShownNode => ({
      name: node.name,
      keyStore: node.keyStore,
      state: node.revokedAt === undefined ? 'listed' : 'revoked',
      source: 'database',
      knownBy:
        node.certificateSha256 !== undefined
          ? `SHA-256 ${node.certificateSha256}`
          : node.san !== undefined
            ? `DNS name ${node.san}`
            : 'common name',
    }),
  );
  const names = new Set(nodes.map((node) => node.name));
  const configured = driver.nodes
    .filter((node) => !names.has(node.name))
    .map((node): ShownNode => ({ ...node, state: 'listed', source: 'configuration', knownBy: 'common name' }));
  return [...inDatabase, ...configured];
}

function shown(nodes: readonly ShownNode[]): string {
  const rows = nodes.map((node) => [node.name, node.keyStore, node.state, node.source, node.knownBy]);
  return table([['node', 'key store', 'state', 'from', 'known by'], ...rows]);
}
