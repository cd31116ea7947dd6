import { CodedError } from '../shared/errors.ts';
import { inFours } from './digits.ts';
import { mustBeSame, type People } from './people.ts';

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
      const { target, readOnTarget, readOnOrigin } = comparison;
      say(`Transport key of ${target}, SHA-256 as read on ${target}: ${inFours(readOnTarget)}`);
      const right = await typed(`what ${target} shows`, readOnOrigin, 'The origin has another one');
      if (!right) refuse(`the transport key of ${target} on the origin is not the one ${second} read`);
    },
    async hear({ what, where, sha256 }) {
      const right = await typed(`the SHA-256 of ${what}, as ${where} shows it`, sha256, 'Here it is another one');
      if (!right) refuse(`${what} is not here what ${second} heard from ${where}`);
    },
  };

  /** @returns whether what the second person typed is what this machine has. */
  async function typed(what: string, expected: string, otherwise: string): Promise<boolean> {
    const question = `${second}, type the first ${typedDigits} digits of ${what} (blanks do not matter): `;
    for (let left = attempts; left > 0; left -= 1) {
      const answer = (await ask(question)).replaceAll(/\s/g, '').toLowerCase();
      if (answer.length >= typedDigits && expected.startsWith(answer)) return true;
      say(`${otherwise}${answer.length < typedDigits ? ', or too little was typed' : ''}.`);
    }
    return false;
  }
}

function refuse(why: string): never {
  throw new CodedError('CEREMONY_REFUSED', why);
}
