import { anchorsHeader } from '../../audit/anchors-file.ts';
import { createChecksummedFile } from '../../shared/checksummed-file.ts';
import { readInBatches } from '../../shared/database/read-in-batches.ts';
import { inTransaction } from '../../shared/database/transaction.ts';
import type { Command } from '../command.ts';
import { withApiDatabase } from './api-database.ts';

const newest = `select distinct on (chain) key_store as "keyStore", chain, sequence::float8 as sequence, hash, signature, node,
  received_at as "receivedAt" from audit_anchor order by chain, audit_anchor.sequence desc`;
const all = `select key_store as "keyStore", chain, sequence::float8 as sequence, hash, signature, node,
  received_at as "receivedAt" from audit_anchor order by chain, audit_anchor.sequence`;

/** Take them before the log is exported: a chain that has grown since only has more than its anchor says. */
export const command: Command = {
  name: 'api audit-anchors',
  summary: 'write the signed heads of the drivers’ audit chains, as the API keeps them, into a file for audit verify',
  example: 'hsm-driver api audit-anchors --config api.yaml --out anchors.jsonl',
  options: [
    { name: 'out', summary: 'file to make', required: true, kind: 'text' },
    { name: 'all', summary: 'every head, not only the newest of each chain', required: false, kind: 'switch' },
  ],
  async run({ config, text, switches }) {
    const file = text.get('out') ?? '';
    const heads = await withApiDatabase(config, 'api audit-anchors', (pool) =>
      inTransaction(pool, async (client) => {
        const output = createChecksummedFile(file);
        let count = 0;
        try {
          output.write(anchorsHeader);
          for await (const rows of readInBatches(client, 'anchors', switches.has('all') ? all : newest)) {
            for (const row of rows) output.write(JSON.stringify(row));
            count += rows.length;
          }
          output.finish();
        } finally {
          output.abandon();
        }
        return count;
      }),
    );
    process.stdout.write(`${file}: ${heads} heads\n`);
  },
};
