import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { addNode } from '../../api/driver/driver-nodes.ts';
import { aboutNode } from '../../api/driver/ordered-nodes.ts';
import type { ApiConfiguration } from '../../shared/configuration/api.ts';
import { name as nameSchema } from '../../shared/configuration/sections.ts';
import { certificateSha256, openAuthority } from '../../shared/crypto/certificate-authority.ts';
import { inTransaction } from '../../shared/database/transaction.ts';
import { CodedError } from '../../shared/errors.ts';
import { requireOrder } from '../../shared/orders/require-order.ts';
import { recordOrder } from '../../shared/orders/used-orders.ts';
import { orderOption } from '../authorisation/order-option.ts';
import type { Command } from '../command.ts';
import { withApiDatabase } from './api-database.ts';

/**
 * Two ways to a certificate. With `--authority`, a small CA kept in that directory issues it (and is made when it is not
 * there; the API's `driver.clientCaFile` must be its ca.pem), and exactly that certificate is let in. Else the
 * operator's own CA has issued it, and one option says how to know it.
 */
export const command: Command = {
  name: 'api driver add',
  summary: 'put a driver node on the list; with --authority, issue its certificate too',
  example: 'hsm-driver api driver add --config api.yaml --node node-3 --key-store custody',
  options: [
    { name: 'node', summary: 'name of the node: the common name of its certificate', required: true, kind: 'text' },
    { name: 'key-store', summary: 'id of the key store that it serves', required: true, kind: 'text' },
    {
      name: 'authority',
      summary: 'directory of a CA of our own that issues the certificate',
      required: false,
      kind: 'text',
    },
    { name: 'fingerprint', summary: 'let in only the certificate with this SHA-256', required: false, kind: 'text' },
    { name: 'san', summary: 'let in certificates with this DNS name', required: false, kind: 'text' },
    orderOption('driver-add'),
  ],
  async run({ config, text }) {
    const name = validName(text.get('node') ?? '');
    const keyStore = text.get('key-store') ?? '';
    const [authority, fingerprint, san] = ['authority', 'fingerprint', 'san'].map((option) => text.get(option));
    if ([authority, fingerprint, san].filter((value) => value !== undefined).length > 1)
      throw invalid('give one of --authority, --fingerprint and --san');
    await withApiDatabase(config, 'api driver', async (pool, configuration) => {
      if (!configuration.keyStores.some(({ id }) => id === keyStore))
        throw new CodedError('NOT_FOUND', `key store ${keyStore} in ${config}`);
      const { operators } = configuration;
      const issued = authority === undefined ? undefined : await issue(configuration, authority, name);
      const certificate = issued?.certificateSha256 ?? (fingerprint === undefined ? undefined : hexOf(fingerprint));
      const node = {
        name,
        keyStore,
        ...(certificate === undefined ? {} : { certificateSha256: certificate }),
        ...(san === undefined ? {} : { san }),
      };
      const order = requireOrder({ keyStore, operators }, aboutNode(node), text.get('order'));
      await inTransaction(pool, async (client) => {
        if (order !== undefined) await recordOrder(client, order, { node: 'api' });
        await addNode(client, node, order);
      });
      process.stdout.write(`Node ${name} is on the list, for key store ${keyStore}.\n${issued?.text ?? ''}`);
    });
  },
};

/** Where operators are configured, the one that was issued at the first call waits for their order. */
async function issue({ driver: { clientCaFile }, operators }: ApiConfiguration, directory: string, name: string) {
  if (operators === undefined && existsSync(join(directory, `${name}.pem`)))
    throw invalid(`${join(directory, `${name}.pem`)} is there already; move it away to issue another`);
  const authority = await openAuthority(directory, 'HSM driver CA');
  if (!sameFile(authority.certificateFile, clientCaFile))
    throw invalid(`driver.clientCaFile must be ${authority.certificateFile}: nothing else is trusted to name drivers`);
  const { certificateFile, privateKeyFile } = await authority.issue(name, 'client');
  return {
    certificateSha256: certificateSha256(readFileSync(certificateFile)),
    text: `Move these two to the node, as api.certificateFile and api.privateKeyFile:\n  ${certificateFile}\n  ${privateKeyFile}\n`,
  };
}

function sameFile(one: string, other: string): boolean {
  return existsSync(other) && readFileSync(one).equals(readFileSync(other));
}

function hexOf(fingerprint: string): string {
  const hex = fingerprint
    .replace(/^sha256[ :=]?(fingerprint=)?/i, '')
    .replaceAll(':', '')
    .toLowerCase();
  if (!/^[0-9a-f]{64}$/.test(hex)) throw invalid('--fingerprint is not a SHA-256');
  return hex;
}

function validName(name: string): string {
  const { success, error } = nameSchema.safeParse(name);
  if (!success) throw invalid(`--node: ${error.issues[0]?.message ?? 'not a name'}`);
  return name;
}

function invalid(why: string): CodedError {
  return new CodedError('OPTION_INVALID', why);
}
