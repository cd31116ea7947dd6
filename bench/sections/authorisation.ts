import { join } from 'node:path';
import type { AuthorisationCalls, CheckedKind } from '../authorisation/calls.ts';
import { startChild } from '../child/start.ts';
import { interleave } from '../measure/interleave.ts';
import type { Figure, Section } from '../report/figures.ts';
import type { Stage } from '../stage.ts';

const kinds: readonly CheckedKind[] = [
  { credential: 'Ed25519', body: 'hash' },
  { credential: 'Ed25519', body: 'transaction' },
  { credential: 'P-256', body: 'transaction' },
  { credential: 'secp256k1', body: 'transaction' },
  { credential: 'RSA-2048', body: 'transaction' },
];

/** What enforcing costs a signature: the same requests through the driver's check, enforced and off, in turn. */
export async function measureAuthorisation({ plan, releasers }: Pick<Stage, 'plan' | 'releasers'>): Promise<Section> {
  const child = startChild<AuthorisationCalls>(join(import.meta.dirname, '../authorisation/process.ts'), releasers);
  const figures: Figure[] = [];
  for (const kind of kinds) {
    await child.ask('prepare', { ...kind, count: plan.authorisedRequests });
    const check = (mode: 'off' | 'enforce') => () => child.ask('check', { mode });
    // Code is compiled, and wallets are known.
    await interleave(2, check('off'), check('enforce'));
    const pairs = await interleave(plan.rounds * 3, check('off'), check('enforce'));
    const body = kind.body === 'hash' ? 'a hash by a key' : 'an EVM transaction through a wallet';
    figures.push({
      id: `authorisation ${kind.credential} ${kind.body}`,
      what: `enforced − off: ${body}, ${kind.credential} credential`,
      unit: 'ms',
      samples: pairs.map(({ one, other }) => other - one),
      target: { most: 0.2 },
    });
  }
  await child.stop();
  return {
    title: 'Authorisations',
    about: 'CPU of a driver’s check of one signature request, by the kind of the caller’s credential.',
    figures,
  };
}
