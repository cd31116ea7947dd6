import type { HsmFailure, HsmResult } from './hsm/jobs.ts';
import type { Count } from './metrics.ts';
import type { WrappedKey } from './wrapped-key.ts';

/**
 * Keeps an idle slot from losing its link unnoticed: HSMs and firewalls drop idle connections, and the first call after
 * that fails or waits for a long time-out. One small signature by the integrity key on each session: a worn-out session
 * is renewed by it, a device that is gone is noticed. Not C_GetTokenInfo: some libraries answer that from memory.
 */
export interface KeepAlive {
  stop(): void;
}

export interface KeepAliveOptions {
  readonly everyMs: number;
  readonly threads: number;
  readonly identity: Pick<WrappedKey, 'keyStore' | 'masterKeyId' | 'integrityKeyId'>;
  /** Since the last answer of the HSM; 0 while it is at work. */
  readonly idleMs: () => number;
  readonly mayCall: () => boolean;
  readonly checkTags: (keys: readonly WrappedKey[]) => Promise<readonly HsmResult<boolean>[]>;
  readonly onFailure: (failure: HsmFailure) => void;
  readonly count: Count;
}

export function startKeepAlive(options: KeepAliveOptions): KeepAlive {
  const { everyMs, threads, identity, count } = options;
  const row = rowOf(identity);
  let timer: NodeJS.Timeout;
  let stopped = false;

  /** Jittered, so that many workers do not call as one. */
  function later(idleMs: number): void {
    if (stopped) return;
    const dueMs = Math.max(0, everyMs * (0.8 + Math.random() * 0.4) - idleMs);
    timer = setTimeout(() => void look(), Math.max(dueMs, everyMs / 10));
    timer.unref();
  }

  async function look(): Promise<void> {
    const idle = options.idleMs();
    if (!options.mayCall() || idle < everyMs * 0.8) return later(idle);
    count('keep_alives');
    // As many items as threads: idle threads get one each. The answer is always "no such tag".
    const answers = await options.checkTags(Array.from({ length: threads }, () => row));
    for (const answer of answers) if (!answer.ok) options.onFailure(answer);
    later(0);
  }

  later(0);
  return {
    stop() {
      stopped = true;
      clearTimeout(timer);
    },
  };
}

/** No key: only what makes the HSM layer compute a tag. */
function rowOf(identity: KeepAliveOptions['identity']): WrappedKey {
  return {
    ...identity,
    keyId: 'keep-alive',
    requestId: 'keep-alive',
    organisation: 'keep-alive',
    type: { scheme: 'ECDSA', curve: 'secp256k1' },
    publicKey: '',
    blob: Buffer.alloc(0),
    wrapAlgorithm: 'none',
    wrapMechanism: 0,
    allowedKinds: [],
    status: 'active',
    tag: Buffer.alloc(32),
  };
}
