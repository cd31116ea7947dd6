import { execFile } from 'node:child_process';
import type { KeyObject } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { stringify } from 'yaml';
import type { DatabaseConfiguration } from '../../src/shared/configuration/sections.ts';
import type { TestOperators } from './operators.ts';
import { writePinnedKeys } from './pinned-keys.ts';

const main = resolve(import.meta.dirname, '../../src/cli/main.ts');

export interface CommandResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** One call of `hsm-driver`, in a process of its own. */
export async function hsmDriver(...words: readonly string[]): Promise<CommandResult> {
  try {
    const { stdout, stderr } = await promisify(execFile)(process.execPath, [main, ...words]);
    return { code: 0, stdout, stderr };
  } catch (error) {
    const { code, stdout, stderr } = error as unknown as CommandResult;
    return { code, stdout, stderr };
  }
}

export interface NodeOfCommands {
  readonly keyStore: string;
  readonly database: DatabaseConfiguration;
  readonly operators?: TestOperators;
  readonly stateDirectory: string;
  /** The key store's; default: one that nobody has. */
  readonly attestationKey?: KeyObject;
}

/** Commands with the configuration of a node that needs no more than its database. */
export function nodeCommands(directory: string, { operators, attestationKey, ...node }: NodeOfCommands) {
  const config = join(directory, 'node.yaml');
  const ceremonyFile = join(directory, 'ceremony.json');
  writePinnedKeys(ceremonyFile, node.keyStore, attestationKey);
  writeFileSync(
    config,
    stringify({
      kind: 'driver',
      node: 'node-1',
      ...node,
      api: {
        addresses: ['https://127.0.0.1:8444'],
        caFile: 'ca.pem',
        certificateFile: 'node.pem',
        privateKeyFile: 'node.key',
      },
      ceremonyFile,
      slots: [
        { name: 'hsm-1', module: 'hsm.so', tokenLabel: 'hsm-1', tokenSerial: '0123456789abcdef', pinFile: 'pin' },
      ],
      ...(operators === undefined ? {} : { operators: operators.configuration }),
    }),
  );
  return {
    config,
    run: (...words: string[]) => {
      const end = words.findIndex((word) => word.startsWith('-'));
      const at = end === -1 ? words.length : end;
      return hsmDriver(...words.slice(0, at), '--config', config, ...words.slice(at));
    },
  };
}
