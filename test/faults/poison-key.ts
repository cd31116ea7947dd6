import { maxAttempts } from '../../src/api/queue/expiry.ts';
import { type Answer, type LoadKey, openSigningApplication } from '../support/signing-application.ts';
import type { Fault } from './fault.ts';
import type { FaultSystem } from './fault-system.ts';

/** How often it is asked for, one after the other. */
const times = 8;

/**
 * A key of which each request ends every worker that gets it, at whatever node, asked for again and again: the first request
 * fails after its last attempt, the others are refused, and no request that was on its way together with it fails.
 */
function aKeyThatCrashes(): Fault {
  let key: LoadKey | undefined;
  let answers: Answer[] = [];
  let crashesBefore = 0;
  const crashes = ({ control }: FaultSystem): number => control.stats().applied.crash ?? 0;
  return {
    name: `a key whose blob crashes every process that opens it, asked for ${times} times`,
    async prepare({ system }: FaultSystem) {
      const { id, publicKey } = await system.sdk.keys.createKey({ body: { scheme: 'ECDSA', curve: 'secp256k1' } });
      key = { id, publicKey, curve: 'secp256k1' };
    },
    async inject(system) {
      if (key === undefined) throw new Error('there is no key');
      crashesBefore = crashes(system);
      const blob = (await system.blobOf(key.id)).slice(0, 32);
      system.control.set([{ action: 'crash', on: ['C_UnwrapKey'], blob }]);
      const application = openSigningApplication({ client: system.system.client, loops: 1 });
      try {
        answers = [];
        while (answers.length < times)
          answers.push(await application.sign(key, '5a'.repeat(32), `crashes-${answers.length}-${key.id}`));
      } finally {
        await application.close();
      }
    },
    heal: ({ control }) => control.clear(),
    expect: { during: ['recovering', 'starting', 'probing'] },
    hitsBoth: true,
    check(system) {
      const ended = crashes(system) - crashesBefore;
      const [first, ...more] = answers;
      return [
        ...(first?.is === 'failed' ? [] : [`the request that ends its workers is ${first?.is}`]),
        ...more.filter(({ is }) => is !== 'refused').map(({ is }) => `a later one is ${is}`),
        ...(ended === maxAttempts ? [] : [`it ended ${ended} workers, not ${maxAttempts}`]),
      ];
    },
  };
}

export const poisonKey = aKeyThatCrashes();
