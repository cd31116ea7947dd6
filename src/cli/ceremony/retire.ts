import { accessSync, constants } from 'node:fs';
import type pg from 'pg';
import { nobody } from '../../ceremony/people.ts';
import { readProtocol, replaceProtocolFile, stepEntry } from '../../ceremony/protocol-file.ts';
import { type FoundHsm, type Retired, retireHsm } from '../../retire/retire-hsm.ts';
import { openAuditLog } from '../../shared/audit/open-log.ts';
import type { DriverConfiguration } from '../../shared/configuration/driver.ts';
import { CodedError } from '../../shared/errors.ts';
import { carryOut } from '../authorisation/carry-out.ts';
import { orderOption } from '../authorisation/order-option.ts';
import type { Command } from '../command.ts';
import { withDriverDatabase } from '../driver-database.ts';

const usualOthers = 2;

/** Nothing is destroyed before the order's use is on disk; what was destroyed is told of in the audit log and the protocol. */
export const command: Command = {
  name: 'retire',
  summary: 'destroy the key store’s keys on an HSM that nothing uses any more, and say what to do next',
  example: 'hsm-driver retire --config old-node.yaml --slot hsm-3 --serial 8f3c2a91d0e4b675 --yes',
  options: [
    { name: 'slot', summary: 'slot of the configuration that reaches the HSM', required: true, kind: 'text' },
    { name: 'serial', summary: 'its serial number, as you read it on the device', required: true, kind: 'text' },
    {
      name: 'others',
      summary: `how many other HSMs must prove every key that is in use; usually ${usualOthers}`,
      required: false,
      kind: 'text',
    },
    {
      name: 'protocol',
      summary: 'the ceremony’s protocol file to record it in; the configuration’s ceremonyFile when left out',
      required: false,
      kind: 'text',
    },
    { name: 'yes', summary: 'do it; without it the command only looks', required: false, kind: 'switch' },
    orderOption('retire'),
  ],
  async run({ config, text, switches }) {
    const serial = text.get('serial') ?? '';
    const others = Number(text.get('others') ?? usualOthers);
    if (!Number.isInteger(others) || others < 1) throw new CodedError('OPTION_INVALID', '--others is a number from 1');
    await withDriverDatabase(config, 'retire', async (pool, configuration) => {
      const protocol = text.get('protocol') ?? configuration.ceremonyFile;
      refuseUnwritable(protocol);
      const slot = text.get('slot') ?? '';
      const outcome = await retireHsm(pool, configuration, { slot, serial, others }, async () => {
        if (!switches.has('yes')) return false;
        const about = { kind: 'retire', subject: serial } as const;
        const errand = { configuration, command: 'retire', about, orderFile: text.get('order'), events: [] };
        await carryOut(pool, errand, async () => {});
        return true;
      });
      if ('destroyed' in outcome) {
        await tell(pool, configuration, serial, outcome);
        record(protocol, serial, outcome);
      }
      process.stdout.write(`${'destroyed' in outcome ? next(serial, outcome, protocol) : looked(serial, outcome)}\n`);
    });
  },
};

async function tell(
  pool: pg.Pool,
  { keyStore, node }: DriverConfiguration,
  tokenSerial: string,
  { masterKeyIds, destroyed }: Retired,
): Promise<void> {
  const audit = openAuditLog(pool, { program: 'command', command: 'retire', keyStore, node });
  await audit.append(
    { kind: 'hsm-retired', tokenSerial, masterKeyIds, objectsDestroyed: destroyed },
    { kind: 'closed' },
  );
}

/** @throws RETIRE_REFUSED */
function refuseUnwritable(protocol: string): void {
  try {
    accessSync(protocol, constants.R_OK | constants.W_OK);
  } catch (cause) {
    const why = (cause as NodeJS.ErrnoException).code ?? 'unknown';
    throw new CodedError(
      'RETIRE_REFUSED',
      `the protocol file ${protocol} cannot be written (${why}); name it with --protocol`,
    );
  }
}

function record(file: string, serial: string, { label, destroyed, masterKeyIds }: Retired): void {
  const before = readProtocol(file);
  const { content } = before;
  const lines = [
    `HSM “${label}” (${serial}) was retired: ${destroyed} objects of ${masterKeyIds.join(', ')} were destroyed on it`,
  ];
  const people = nobody(() => {});
  const retiredAt = new Date().toISOString();
  replaceProtocolFile(file, before, {
    ...content,
    tokens: content.tokens.map((token) => (token.serial === serial ? { ...token, retiredAt } : token)),
    steps: [...content.steps, stepEntry('retire', people, lines, before)],
  });
}

function looked(serial: string, { label, objects, masterKeyIds }: FoundHsm): string {
  const what = `${objects} objects of ${masterKeyIds.join(', ')} on “${label}” (${serial})`;
  return `${what} can be destroyed. Nothing was changed; add --yes to do it.`;
}

function next(serial: string, { label, destroyed }: Retired, protocol: string): string {
  return [
    `${destroyed} objects were destroyed on “${label}” (${serial}).`,
    `It is recorded in the audit log and in ${protocol}; give the nodes this file when they are next reloaded.`,
    'To do by hand:',
    '  1. Zeroise the partition, or reset the device, by the vendor’s procedure, with a witness.',
    '  2. Delete its PIN file on the node, and the node’s registration on the device.',
    '  3. Take it out of monitoring, networks and contracts; destroy or return it as your rules say.',
    '  4. Look at hsm-driver status on another node, and make a backup.',
  ].join('\n');
}
