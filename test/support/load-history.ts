import { ed25519 } from '@noble/curves/ed25519.js';
import { secp256k1 } from '@noble/curves/secp256k1.js';
import type { SignedRequest } from './load.ts';
import type { Answer, LoadKey } from './signing-application.ts';

/** What a load saw, judged: pure. */
export interface Judgement {
  readonly requests: number;
  readonly signed: number;
  readonly slowestMs: number;
  /** Requests that needed their second try. */
  readonly retried: number;
  /** One sentence for each thing that must never be; none = all is well. */
  readonly faults: readonly string[];
}

export interface Rules {
  /** How many tries a request may have needed. */
  readonly tries?: number;
  /** What the API says now about some of the ids: it must be what it said then. */
  readonly again?: readonly Answer[];
  /** Last answers that are right although nothing was signed. */
  mayAnswer?(answer: Answer, request: SignedRequest): boolean;
}

/**
 * No request lost or failed, no two different signatures for one id, none that does not verify.
 */
export function judgeHistory(
  history: readonly SignedRequest[],
  { tries = 1, again = [], mayAnswer = () => false }: Rules = {},
): Judgement {
  const faults: string[] = [];
  const signatures = new Map<string, string>();
  let signed = 0;
  for (const one of history) {
    const last = one.answers.at(-1);
    if (last?.is === 'signed') signed += 1;
    else if (last === undefined || !mayAnswer(last, one))
      faults.push(`request ${one.externalId} ${tellAnswer(last)}${tellFirst(one)}`);
    if (one.answers.length > tries) faults.push(`request ${one.externalId} needed ${one.answers.length} tries`);
    for (const answer of one.answers) {
      if (answer.is !== 'signed') continue;
      if (!verifies(one.key, one.message, answer.rs)) faults.push(`signature ${answer.id} does not verify`);
      const before = signatures.get(answer.id);
      if (before !== undefined && before !== answer.rs) faults.push(`two different signatures under ${answer.id}`);
      signatures.set(answer.id, answer.rs);
    }
  }
  for (const answer of again) {
    if (answer.is !== 'signed' || signatures.get(answer.id) !== answer.rs)
      faults.push(`asked again: ${tellAnswer(answer)}, which is not what was answered before`);
  }
  return {
    requests: history.length,
    signed,
    slowestMs: Math.max(0, ...history.map(({ startedMs, endedMs }) => endedMs - startedMs)),
    retried: history.filter(({ answers }) => answers.length > 1).length,
    faults,
  };
}

export function verifies({ curve, publicKey }: LoadKey, message: string, rs: string): boolean {
  const [signature, data, key] = [rs, message, publicKey].map((hex) => Buffer.from(hex, 'hex')) as [
    Buffer,
    Buffer,
    Buffer,
  ];
  switch (curve) {
    case 'secp256k1':
      return secp256k1.verify(signature, data, key, { prehash: false, lowS: true });
    case 'ed25519':
      return ed25519.verify(signature, data, key);
    default:
      throw new Error(`unknown: ${curve satisfies never}`);
  }
}

export function tellAnswer(answer: Answer | undefined): string {
  if (answer === undefined) return 'was never answered';
  switch (answer.is) {
    case 'signed':
      return `signed as ${answer.id}`;
    case 'failed':
      return `failed: ${answer.reason}`;
    case 'refused':
      return answer.status === 200 ? `is still executing as ${answer.reason}` : `got ${answer.status} ${answer.reason}`;
    default:
      throw new Error(`unknown: ${answer satisfies never}`);
  }
}

function tellFirst({ answers }: SignedRequest): string {
  return answers.length > 1 ? ` (first it ${tellAnswer(answers[0])})` : '';
}
