import { exportAuditLog } from '../../audit/export-log.ts';
import type { Command } from '../command.ts';
import { withDriverDatabase } from '../driver-database.ts';
import { startProgress } from '../progress.ts';

export const command: Command = {
  name: 'audit export',
  summary: 'write the whole audit log of the driver database into a file',
  example: 'hsm-driver audit export --config node-1.yaml --out audit-2026-11.jsonl',
  options: [{ name: 'out', summary: 'file to make', required: true, kind: 'text' }],
  async run({ config, text }) {
    const file = text.get('out') ?? '';
    const { chains, entries, checksum } = await withDriverDatabase(
      config,
      'audit export',
      async (pool, { keyStore }) => {
        const progress = startProgress('entries');
        try {
          return await exportAuditLog(pool, keyStore, file, progress.at);
        } finally {
          progress.end();
        }
      },
    );
    process.stdout.write(
      `${file}: ${entries} entries in ${chains} chains, SHA-256 ${checksum}\n` +
        `Verify it with: hsm-driver audit verify --export ${file} --ceremony CEREMONY-FILE --anchors ANCHORS\n`,
    );
  },
};
