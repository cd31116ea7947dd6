import cluster from 'node:cluster';
import type { HsmWork, HsmWorkAnswer } from '../shared/hsm-work.ts';
import type { ToPrimary, ToWorker } from '../shared/ipc.ts';

/** The worker's end of the channel to its primary. */
export interface PrimaryLink {
  send(message: ToPrimary): void;
  /** Resolves when the message is on its way: a process that ends now does not take it along. */
  deliver(message: ToPrimary): Promise<void>;
  /** The start-up turn of this token: asks for it and waits; one process at a time is between C_Initialize and C_Login. */
  takeTurn(): Promise<void>;
  endTurn(): void;
}

export interface PrimaryNews {
  /** The primary asks this worker to end. */
  onStop(): void;
  /** The primary is gone. Nobody supervises this process any more: it must end by itself. */
  onLost(): void;
  /** A sibling on the same token met a device fault. */
  onDeviceSuspect(): void;
  /** Maintenance on the HSM. Never rejects. */
  onHsmWork(work: HsmWork): Promise<HsmWorkAnswer>;
}

export function connectToPrimary(news: PrimaryNews): PrimaryLink {
  const { worker } = cluster;
  if (worker === undefined || process.send === undefined) throw new Error('a worker is started by its primary only');
  let granted: (() => void) | undefined;

  process.on('message', (message: ToWorker) => {
    switch (message.type) {
      case 'stop':
        return news.onStop();
      case 'turn-granted':
        return granted?.();
      case 'device-suspect':
        return news.onDeviceSuspect();
      case 'hsm-work': {
        const { id, work } = message;
        return void news.onHsmWork(work).then((answer) => deliver({ type: 'hsm-work-answer', id, answer }));
      }
      default:
        // A newer primary may say more.
        return message satisfies never;
    }
  });
  worker.once('disconnect', () => {
    // Without this, node:cluster calls process.exit right after this listener: outcomes would be lost, and with a hung
    // native call the process would stay for ever.
    worker.exitedAfterDisconnect = true;
    news.onLost();
  });

  function deliver(message: ToPrimary): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    // A failure to send means that the primary is gone; `disconnect` says so.
    if (process.connected) process.send?.(message, undefined, undefined, () => resolve());
    else resolve();
    return promise;
  }

  return {
    send(message) {
      void deliver(message);
    },
    deliver,
    takeTurn() {
      const { promise, resolve } = Promise.withResolvers<void>();
      granted = resolve;
      void deliver({ type: 'turn-wanted' });
      return promise;
    },
    endTurn() {
      void deliver({ type: 'turn-done' });
    },
  };
}
