import type pg from 'pg';
import { type CheckedBackup, checkBackup } from '../../backup/check-backup.ts';
import { type DrillReport, drill } from '../../backup/drill.ts';
import { countOf } from '../../backup/format.ts';
import { refuseRestore, restoreRows } from '../../backup/restore-backup.ts';
import { type DriverConfiguration, driverConfiguration } from '../../shared/configuration/driver.ts';
import { loadConfiguration } from '../../shared/configuration/load.ts';
import { isUnreachable, unreachable } from '../../shared/database/faults.ts';
import { checkSchema } from '../../shared/database/migrate.ts';
import { createPool } from '../../shared/database/pool.ts';
import { driverSchema } from '../../shared/database/schema/driver.ts';
import { CodedError } from '../../shared/errors.ts';
import { createLog } from '../../shared/log.ts';
import { carryOut } from '../authorisation/carry-out.ts';
import { orderOption } from '../authorisation/order-option.ts';
import type { Command, CommandInput } from '../command.ts';
import { startProgress } from '../progress.ts';

const usualSample = 100;

/**
 * The backup is read twice: once to know that it is as it was made, before anything is touched, and once for the rows,
 * which are one transaction. As the owner of the schema: the runtime role could not write the audit log of others.
 */
export const command: Command = {
  name: 'restore',
  summary: 'put a backup into an empty, migrated database; with --drill, prove its keys on a spare HSM too',
  example: 'hsm-driver restore --config spare.yaml --backup backup-2026-11-27.jsonl --drill',
  options: [
    { name: 'backup', summary: 'file of hsm-driver backup', required: true, kind: 'text' },
    {
      name: 'drill',
      summary: 'open keys on an HSM of this configuration, have them sign, and tell how long all of it took',
      required: false,
      kind: 'switch',
    },
    { name: 'slot', summary: 'slot of the spare HSM; the first one when left out', required: false, kind: 'text' },
    {
      name: 'sample',
      summary: `keys to prove, beside one of each curve and master key; usually ${usualSample}`,
      required: false,
      kind: 'text',
    },
    orderOption('restore'),
    { name: 'json', summary: 'print JSON', required: false, kind: 'switch' },
  ],
  async run(input) {
    const configuration = loadConfiguration(input.config, driverConfiguration);
    const { database } = configuration;
    if (database.owner === undefined) throw new CodedError('MIGRATION_ROLE_MISSING', `for database ${database.name}`);
    const log = createLog(configuration.log.level, { process: 'restore' });
    const options = { applicationName: 'hsm-driver restore', max: 1, durability: 'durable', role: 'owner' } as const;
    const pool = createPool(database, options, log);
    try {
      await checkSchema(pool, database, driverSchema);
      await restore(pool, configuration, input);
    } catch (error) {
      throw isUnreachable(error) ? unreachable(database, error) : error;
    } finally {
      await pool.end();
    }
  },
};

async function restore(pool: pg.Pool, configuration: DriverConfiguration, input: CommandInput): Promise<void> {
  const { text, switches } = input;
  const file = text.get('backup') ?? '';
  const sample = Number(text.get('sample') ?? usualSample);
  if (!Number.isInteger(sample) || sample < 0) throw new CodedError('OPTION_INVALID', '--sample is a number of keys');
  const began = performance.now();
  const checking = startProgress('checking rows');
  const checked = await checkBackup(file, checking.at).finally(checking.end);
  const checkMs = performance.now() - began;
  await restoreOnce(pool, configuration, file, checked, text.get('order'));
  const restoreMs = performance.now() - began - checkMs;
  const report = switches.has('drill') ? await runDrill(pool, configuration, text.get('slot'), sample) : undefined;
  const result = { ...facts(checked), checkMs, restoreMs, totalMs: performance.now() - began, drill: report };
  process.stdout.write(switches.has('json') ? `${JSON.stringify(result)}\n` : shown(result));
  if (report !== undefined && (report.failed.length > 0 || report.proven === 0))
    throw new CodedError('DRILL_FAILED', `${report.proven} keys proven, ${report.failed.length} not`);
}

async function restoreOnce(
  pool: pg.Pool,
  configuration: DriverConfiguration,
  file: string,
  checked: CheckedBackup,
  orderFile: string | undefined,
): Promise<void> {
  const { manifest, checksum, fileSha256 } = checked;
  const { backup } = manifest;
  const { keyStore } = configuration;
  await refuseRestore(pool, manifest, keyStore);
  const keys = countOf(manifest, 'wrapped_key');
  const total = manifest.tables.reduce((sum, { rows }) => sum + rows, 0);
  const errand = {
    configuration,
    command: 'restore',
    // Not the id alone: whoever can write the file can keep its id and change its rows.
    about: { kind: 'restore', subject: backup, documentSha256: fileSha256 },
    orderFile,
    events: [{ kind: 'restored', backup, keys, checksum }],
  } as const;
  const progress = startProgress('restoring rows', total);
  try {
    await carryOut(pool, errand, (client) => restoreRows(client, file, checked, progress.at));
  } finally {
    progress.end();
  }
}

async function runDrill(
  pool: pg.Pool,
  configuration: DriverConfiguration,
  slot: string | undefined,
  sample: number,
): Promise<DrillReport> {
  const progress = startProgress('proving keys');
  return await drill(pool, configuration, slot, sample, progress.at).finally(progress.end);
}

function facts({ manifest, checksum }: CheckedBackup) {
  const { backup, madeAt, masterKeys } = manifest;
  return { backup, madeAt, checksum, masterKeys, keys: countOf(manifest, 'wrapped_key') };
}

type Result = ReturnType<typeof facts> & {
  readonly checkMs: number;
  readonly restoreMs: number;
  readonly totalMs: number;
  readonly drill: DrillReport | undefined;
};

function shown({ backup, madeAt, keys, checkMs, restoreMs, totalMs, drill: report }: Result): string {
  const lines = [
    `backup ${backup} of ${madeAt}: ${keys} keys restored`,
    `checked in ${seconds(checkMs)}, restored in ${seconds(restoreMs)}`,
  ];
  if (report !== undefined) {
    lines.push(
      `HSM “${report.token}” (${report.serial}) holds ${report.masterKeyIds.join(', ')}; opened in ${seconds(report.openMs)}`,
      `${report.proven} of ${report.keys} active keys opened and signed in ${seconds(report.proveMs)}`,
      ...report.failed.map(({ keyId, problem }) => `key ${keyId} failed: ${problem}`),
      `from the file to signing keys: ${seconds(totalMs)}; what was made after ${madeAt} is not in it`,
    );
  } else {
    lines.push(
      'Next: start one node, then run hsm-driver reconcile: keys that the API knows and this database lacks show there.',
    );
  }
  return `${lines.join('\n')}\n`;
}

function seconds(ms: number): string {
  return `${(ms / 1_000).toFixed(1)} s`;
}
