import { countOf, type Manifest } from '../../backup/format.ts';
import { makeBackup } from '../../backup/make-backup.ts';
import { openAuditLog } from '../../shared/audit/open-log.ts';
import type { Command } from '../command.ts';
import { withDriverDatabase } from '../driver-database.ts';
import { startProgress } from '../progress.ts';

/** While nodes go on working. The last thing it does is to tell of the backup in the audit log: what is told of is whole. */
export const command: Command = {
  name: 'backup',
  summary: 'write the driver database into a file, as it stands at one moment; nodes go on working',
  example: 'hsm-driver backup --config node-1.yaml --out backup-2026-11-27.jsonl',
  options: [
    { name: 'out', summary: 'file to make, mode 0600', required: true, kind: 'text' },
    { name: 'json', summary: 'print the manifest as JSON', required: false, kind: 'switch' },
  ],
  async run({ config, text, switches }) {
    const file = text.get('out') ?? '';
    const { manifest, ...sums } = await withDriverDatabase(config, 'backup', async (pool, configuration) => {
      const progress = startProgress('rows');
      const made = await makeBackup(pool, configuration, file, progress.at).finally(progress.end);
      const { keyStore, node } = configuration;
      const { backup } = made.manifest;
      const keys = countOf(made.manifest, 'wrapped_key');
      const audit = openAuditLog(pool, { program: 'command', command: 'backup', keyStore, node });
      await audit.append({ kind: 'backup-made', backup, keys, checksum: made.checksum }, { kind: 'closed' });
      return made;
    });
    if (switches.has('json')) process.stdout.write(`${JSON.stringify({ ...manifest, file, ...sums })}\n`);
    else {
      const keys = manifest.masterKeys.map(({ id, keys }) => `${keys} keys under ${id}`).join(', ') || 'no keys';
      process.stdout.write(
        `${file}: backup ${manifest.backup}, SHA-256 of the file ${sums.fileSha256}\n` +
          `${keys}; ${manifest.tables.map(({ name, rows }) => `${name} ${rows}`).join(', ')}\n` +
          'Keep it with the ceremony files that it names, apart from the HSMs; prove it: hsm-driver restore --drill\n' +
          `Where operators are configured, they order its restore:\n${orderCommand(manifest, file)}\n`,
      );
    }
  },
};

/** Such an order names this very file, not only its id. */
function orderCommand({ keyStore, backup }: Manifest, file: string): string {
  return `  hsm-driver order new --key-store ${keyStore} --kind restore --subject ${backup} --document ${file} --out order.json`;
}
