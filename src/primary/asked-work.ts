import type { HsmWork, HsmWorkAnswer } from '../shared/hsm-work.ts';

/** What one worker was asked to do on its HSM and has not answered yet. */
export interface AskedWork {
  ask(work: HsmWork): Promise<HsmWorkAnswer>;
  answered(id: number, answer: HsmWorkAnswer): void;
  /** The worker is gone: all that is open is refused, and whatever is asked from now on. */
  end(): void;
}

const gone: HsmWorkAnswer = { done: false, why: 'gone' };

export function createAskedWork(send: (id: number, work: HsmWork) => void): AskedWork {
  const open = new Map<number, (answer: HsmWorkAnswer) => void>();
  let nextId = 1;
  let ended = false;
  return {
    ask(work) {
      if (ended) return Promise.resolve(gone);
      const { promise, resolve } = Promise.withResolvers<HsmWorkAnswer>();
      const id = nextId;
      nextId += 1;
      open.set(id, resolve);
      send(id, work);
      return promise;
    },
    answered(id, answer) {
      open.get(id)?.(answer);
      open.delete(id);
    },
    end() {
      ended = true;
      for (const resolve of open.values()) resolve(gone);
      open.clear();
    },
  };
}
