import { createLeastRecentlyUsed } from '../../shared/least-recently-used.ts';
import type { Handle } from './module.ts';
import type { OpenableKey } from './openable-key.ts';
import type { Session } from './session.ts';

/**
 * Wallet keys that stay unwrapped in one session for a while after they signed (`unwrappedKeyTtlMs`): session objects that
 * cannot leave the HSM, a bounded number of them, each destroyed when its time is over, whether or not anybody asks for
 * it again. They end with their session, and with the first doubt about the device.
 */
export interface KeptKeys {
  find(wrapped: OpenableKey): Handle | undefined;
  /** From here on the handle is this memory's to destroy. @param session by which it was unwrapped. */
  keep(wrapped: OpenableKey, session: Session, handle: Handle): void;
  /** Destroys one. */
  drop(wrapped: OpenableKey): void;
  /** Destroys all. */
  clear(): void;
  /** Forgets all without a call: their session has been closed. */
  lost(): void;
}

interface Kept {
  readonly session: Session;
  readonly handle: Handle;
  readonly until: number;
}

/** A timer looks this often in the life of a key whether its time is over. */
const looksPerLife = 4;
const shortestPauseMs = 10;

export function createKeptKeys(ttlMs: number, limit: number): KeptKeys {
  const destroy = ({ session, handle }: Kept): void => session.destroy(handle);
  // By what was unwrapped, not by a name: another blob under the same key id is another key.
  const memory = createLeastRecentlyUsed<string, Kept>(limit, destroy);
  let timer: NodeJS.Timeout | undefined;

  function drop(name: string): void {
    const kept = memory.get(name);
    memory.delete(name);
    if (kept !== undefined) destroy(kept);
  }

  function sweep(): void {
    timer = undefined;
    const now = performance.now();
    for (const name of memory.keys()) {
      const kept = memory.peek(name);
      if (kept !== undefined && kept.until <= now) drop(name);
    }
    watch();
  }

  function watch(): void {
    if (memory.size === 0 || timer !== undefined) return;
    timer = setTimeout(sweep, Math.max(shortestPauseMs, ttlMs / looksPerLife));
  }

  function lost(): void {
    clearTimeout(timer);
    timer = undefined;
    memory.clear();
  }

  return {
    find(wrapped) {
      const name = nameOf(wrapped);
      const kept = memory.get(name);
      if (kept === undefined) return undefined;
      if (kept.until > performance.now()) return kept.handle;
      drop(name);
      return undefined;
    },
    keep(wrapped, session, handle) {
      const name = nameOf(wrapped);
      drop(name);
      memory.set(name, { session, handle, until: performance.now() + ttlMs });
      watch();
    },
    drop: (wrapped) => drop(nameOf(wrapped)),
    clear() {
      for (const name of memory.keys()) drop(name);
      lost();
    },
    lost,
  };
}

function nameOf({ masterKeyId, curve, blob }: OpenableKey): string {
  return `${masterKeyId} ${curve} ${blob.toString('latin1')}`;
}
