import { randomBytes, randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { FaultSystem } from '../faults/fault-system.ts';
import type { History } from '../support/history-checker.ts';
import type { SignedRequest } from '../support/load.ts';
import { type Answer, openSigningApplication } from '../support/signing-application.ts';

/** Applications that do not give up: each request is sent again, under its externalId, until there is a final answer. */
export interface Applications {
  /** No more requests; resolves when each has its answer, or nobody waits for it any more. */
  stop(): Promise<Pick<History, 'signatures' | 'keys'>>;
}

const loops = 4;
const againMs = 300;
const patienceMs = 90_000;
const keyEveryMs = 1_500;

export function startApplications({ system, keys }: FaultSystem): Applications {
  const application = openSigningApplication({ client: system.client, loops });
  const signatures: SignedRequest[] = [];
  const shown: History['keys'][number][] = [];
  let stopping = false;

  async function sign(at: number): Promise<void> {
    const key = keys[at % keys.length];
    if (key === undefined) throw new Error('there are no keys');
    const externalId = randomUUID();
    const message = randomBytes(32).toString('hex');
    const startedMs = performance.now();
    const answers: Answer[] = [];
    const request = { externalId, key, message, startedMs, answers };
    do {
      if (answers.length > 0) await sleep(againMs);
      answers.push(await application.sign(key, message, externalId));
    } while (answers.at(-1)?.is === 'refused' && performance.now() - startedMs < patienceMs);
    signatures.push({ ...request, endedMs: performance.now() });
  }

  /** Without an externalId: what was refused may be there or not, what was shown must stay. */
  async function makeKey(): Promise<void> {
    try {
      const { id } = await system.sdk.keys.createKey({ body: { scheme: 'ECDSA', curve: 'secp256k1' } });
      for (let time = 0; time < 2; time++) {
        const { publicKey } = await system.sdk.keys.getKey({ keyId: id });
        shown.push({ id, publicKey });
      }
    } catch {
      await sleep(againMs);
    }
  }

  async function whileWanted(act: (at: number) => Promise<void>, pauseMs: number, first: number): Promise<void> {
    for (let at = first; !stopping; at++) {
      await act(at);
      await sleep(pauseMs);
    }
  }
  const running = [
    ...Array.from({ length: loops }, (_none, at) => whileWanted(sign, 20, at)),
    whileWanted(makeKey, keyEveryMs, 0),
  ];
  return {
    async stop() {
      stopping = true;
      await Promise.all(running);
      await application.close();
      return { signatures, keys: shown };
    },
  };
}
