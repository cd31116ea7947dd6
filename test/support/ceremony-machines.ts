import { join } from 'node:path';
import { twoPeople } from '../../src/ceremony/attended.ts';
import { createKeyStore } from '../../src/ceremony/create.ts';
import type { People } from '../../src/ceremony/people.ts';
import type { CeremonyConfiguration } from '../../src/shared/configuration/ceremony.ts';
import { addToken, backupFor, type Cleanup, ceremonyFor, createSoftToken, temporaryDirectory } from './soft-token.ts';

/**
 * A ceremony on several machines: the backup token's, and one for each signing token. Each has its own configuration and
 * its own copy of the protocol file; a folder of files travels, and people tell each other digits.
 */

/** What a machine shows on its screen, and the two people in front of it, who hear digits by telephone. */
export class Machine {
  readonly screen: string[] = [];
  readonly configuration: CeremonyConfiguration;
  /** The digits that its second person hears, asked for when they are needed. */
  hears: () => string = () => '';

  constructor(configuration: CeremonyConfiguration) {
    this.configuration = configuration;
  }

  people(): Promise<People> {
    return twoPeople({
      say: (line) => void this.screen.push(line),
      ask: async (question) => {
        if (question.startsWith('Operator')) return 'Ada';
        if (question.startsWith('Second')) return 'Grace';
        if (question.includes('digits of what')) return this.readsHere();
        return question.includes('type the first') ? this.hears() : 'yes';
      },
    });
  }

  /** The digits of the last line that shows a SHA-256 of this. */
  shows(what: string): string {
    const line = this.screen.findLast((one) => one.includes(what) && one.includes('SHA-256')) ?? '';
    return line.split('SHA-256').at(-1)?.replace(/^.*: /, '').trim() ?? '';
  }

  /** Both readings on one screen: the backup token's own transport key. */
  private readsHere(): string {
    return this.shows('Transport key of backup').slice(0, 19);
  }
}

/** A backup token, and an origin that reaches no other. */
export async function installation(t: Cleanup) {
  const file = join(temporaryDirectory(t), 'main.json');
  await addToken(backupFor(file));
  const origin = new Machine(ceremonyFor([], file));
  await createKeyStore(origin.configuration, await origin.people());
  return { origin, file };
}

/** A token and the machine that reaches it. @param stick the folder that travels. */
export async function targetMachine(t: Cleanup, name: string, stick: string) {
  const slot = await createSoftToken(t, name);
  const file = join(temporaryDirectory(t), 'main.json');
  const { backup: _, ...configuration } = ceremonyFor([slot], file);
  const machine = new Machine(configuration);
  return { slot, machine, file, exchange: { token: name, folder: stick } };
}
