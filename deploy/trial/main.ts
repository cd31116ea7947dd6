import { parseArgs } from 'node:util';
import { readSecretFile } from '../../src/shared/configuration/secret-file.ts';
import { prepare } from './prepare.ts';

/**
 * What the image for trying out does besides running the program: `prepare` makes a whole installation on software tokens in
 * one directory. Safe to run again: what is there is kept.
 */
const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: {
    directory: { type: 'string', default: '/trial' },
    module: { type: 'string', default: '/opt/softhsm/lib/libsofthsm2.so' },
    database: { type: 'string', default: 'postgres' },
    'database-port': { type: 'string', default: '5432' },
    'database-user': { type: 'string', default: 'postgres' },
    // Left out: the database trusts its network.
    'database-password-file': { type: 'string' },
    api: { type: 'string', default: 'api' },
    'application-port': { type: 'string', default: '8443' },
    'driver-port': { type: 'string', default: '8444' },
    // One for each node where all of them share an address; in containers each has its own.
    'operations-ports': { type: 'string', default: '9464,9464,9465' },
  },
});
const passwordFile = values['database-password-file'];
if (positionals[0] !== 'prepare') throw new Error('usage: main.ts prepare [--directory DIRECTORY] …');
const [node1 = 0, node2 = 0, api = 0] = values['operations-ports'].split(',').map(Number);
await prepare({
  directory: values.directory,
  module: values.module,
  database: {
    host: values.database,
    port: Number(values['database-port']),
    superuser: values['database-user'],
    superuserPassword:
      passwordFile === undefined ? '' : readSecretFile(passwordFile, '--database-password-file').toString('utf8'),
  },
  apiHost: values.api,
  ports: { application: Number(values['application-port']), driver: Number(values['driver-port']) },
  operationsPorts: { 1: node1, 2: node2, api },
  say: (line) => process.stdout.write(`${line}\n`),
});
