import { randomBytes, randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Answer, type ApplicationOptions, type LoadKey, openSigningApplication } from './signing-application.ts';

/**
 * Applications at work: loops that sign one thing after the other through the calls that the Dfns SDK makes (challenge,
 * user action, signature), each with an externalId of its own, and write down what they saw. A loop stops when it is
 * told, and at its limit in any case.
 */
export interface SignedRequest {
  readonly externalId: string;
  readonly key: LoadKey;
  /** 32 bytes, hex: a hash for secp256k1, a message for ed25519. */
  readonly message: string;
  /** Milliseconds on the process's monotonic clock (performance.now). */
  readonly startedMs: number;
  readonly endedMs: number;
  /** The last one counts; more than one only where retries are allowed. */
  readonly answers: readonly Answer[];
}

export interface LoadOptions extends ApplicationOptions {
  readonly keys: readonly LoadKey[];
  /** Between an answer and the next request of a loop. */
  readonly pauseMs: number;
  /** After this long no request is begun any more. */
  readonly limitMs: number;
  /** One more try under the same externalId, once this resolves and the API answers again. Default: none. */
  readonly retryOnceAfter?: () => Promise<unknown>;
}

export interface Load {
  readonly done: readonly SignedRequest[];
  /** No more requests; resolves with all of them when those on their way have their answers. */
  stop(): Promise<readonly SignedRequest[]>;
  /** The signature under an id, or what else the API says about it. */
  look(key: LoadKey, id: string): Promise<Answer>;
  close(): Promise<void>;
}

/** Who was refused comes back later. */
const refusedPauseMs = 500;

export function startLoad(options: LoadOptions): Load {
  const { keys, pauseMs, retryOnceAfter } = options;
  const application = openSigningApplication(options);
  const done: SignedRequest[] = [];
  const endMs = performance.now() + options.limitMs;
  let stopping = false;

  async function once(key: LoadKey): Promise<SignedRequest> {
    const externalId = randomUUID();
    const message = randomBytes(32).toString('hex');
    const startedMs = performance.now();
    const answers = [await application.sign(key, message, externalId)];
    if (retryOnceAfter !== undefined && answers[0]?.is === 'refused') {
      await retryOnceAfter();
      await application.isBack(key);
      answers.push(await application.sign(key, message, externalId));
    }
    return { externalId, key, message, startedMs, endedMs: performance.now(), answers };
  }

  async function loop(first: number): Promise<void> {
    for (let at = first; !stopping && performance.now() < endMs; at++) {
      const request = await once(keys[at % keys.length] as LoadKey);
      done.push(request);
      await sleep(request.answers.at(-1)?.is === 'refused' ? refusedPauseMs : pauseMs);
    }
  }

  const loops = Promise.all(Array.from({ length: options.loops }, (_none, at) => loop(at)));
  return {
    done,
    async stop() {
      stopping = true;
      await loops;
      return done;
    },
    look: application.look,
    close: application.close,
  };
}
