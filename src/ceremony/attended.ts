import { CodedError } from '../shared/errors.ts';
import { type Comparison, mustBeSame, type People } from './people.ts';

/** How people are spoken to: a terminal, or a test. */
export interface Dialogue {
  say(line: string): void;
  /** @throws CEREMONY_REFUSED when nobody can answer any more. */
  ask(question: string): Promise<string>;
}

/**
 * Of a SHA-256, typed by the second person: 64 bits. Somebody who wants to pass off a transport key of their own must find
 * one that begins the same while the ceremony waits.
 */
export const typedDigits = 16;
const attempts = 3;

/** Two people, asked for their names first. @throws CEREMONY_REFUSED when there is only one. */
export async function twoPeople({ say, ask }: Dialogue): Promise<People> {
  const operator = (await ask('Operator, your name: ')).trim();
  const second = (await ask('Second person, your name: ')).trim();
  if (operator === '' || second === '' || operator.toLowerCase() === second.toLowerCase()) {
    throw new CodedError('CEREMONY_REFUSED', 'a ceremony takes two people with different names');
  }
  return {
    attended: true,
    names: [operator, second],
    say,
    async agree(question) {
      const answer = (await ask(`${question} (yes/no) `)).trim().toLowerCase();
      if (answer !== 'yes') throw new CodedError('CEREMONY_REFUSED', `${operator} answered “${answer}”, not “yes”`);
    },
    async compare(comparison) {
      mustBeSame(comparison);
      await typed(comparison);
    },
  };

  async function typed({ target, readOnTarget, readOnOrigin }: Comparison): Promise<void> {
    say(`Transport key of ${target}, SHA-256 as read on ${target}: ${inFours(readOnTarget)}`);
    const question = `${second}, type the first ${typedDigits} digits of what ${target} shows (blanks do not matter): `;
    for (let left = attempts; left > 0; left -= 1) {
      const answer = (await ask(question)).replaceAll(/\s/g, '').toLowerCase();
      if (answer.length >= typedDigits && readOnOrigin.startsWith(answer)) return;
      say(`The origin has another one${answer.length < typedDigits ? ', or too little was typed' : ''}.`);
    }
    throw new CodedError(
      'CEREMONY_REFUSED',
      `the transport key of ${target} on the origin is not the one ${second} read`,
    );
  }
}

function inFours(digest: string): string {
  return digest.match(/.{4}/g)?.join(' ') ?? digest;
}
