import { maxAttempts } from '../../src/api/queue/expiry.ts';
import { type Answer, type LoadKey, openSigningApplication } from '../support/signing-application.ts';
import type { Fault } from './fault.ts';
import type { FaultSystem } from './fault-system.ts';

/**
 * A request that ends every worker which gets it, at whatever node: it fails after its last attempt, and no request that was
 * on its way together with it does.
 */
function aKeyThatCrashes(): Fault {
  let key: LoadKey | undefined;
  let answer: Answer | undefined;
  let crashesBefore = 0;
  const crashes = ({ control }: FaultSystem): number => control.stats().applied.crash ?? 0;
  return {
    name: 'a key whose blob crashes every process that opens it, asked for once',
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
        answer = await application.sign(key, '5a'.repeat(32), `crashes-${key.id}`);
      } finally {
        await application.close();
      }
    },
    heal: ({ control }) => control.clear(),
    expect: { during: ['recovering', 'starting', 'probing'] },
    hitsBoth: true,
    check(system) {
      const ended = crashes(system) - crashesBefore;
      return [
        ...(answer?.is === 'failed' ? [] : [`the request that ends its workers is ${answer?.is}`]),
        ...(ended === maxAttempts ? [] : [`it ended ${ended} workers, not ${maxAttempts}`]),
      ];
    },
  };
}

export const poisonKey = aKeyThatCrashes();
