import { isDeepStrictEqual } from 'node:util';
import type { DriverConfiguration } from '../../shared/configuration/driver.ts';
import type { Log } from '../../shared/log.ts';
import { type OperationsPages, type OperationsServer, startOperationsServer } from '../../shared/operations/server.ts';

type Address = NonNullable<DriverConfiguration['operations']>;

/** The operations server, at the address that the configuration in force has for it. */
export interface OperationsListener {
  /** @throws LISTEN_FAILED: it listens where it did before */
  move(to: Address | undefined): Promise<void>;
  stop(): Promise<void>;
}

export function createOperationsListener(pages: OperationsPages, log: Log): OperationsListener {
  let listening: { readonly address: Address; readonly server: OperationsServer } | undefined;

  async function open(address: Address | undefined): Promise<void> {
    listening = undefined;
    if (address !== undefined) listening = { address, server: await startOperationsServer(address, pages, log) };
  }

  return {
    async move(to) {
      const before = listening;
      if (isDeepStrictEqual(to, before?.address)) return;
      // The new one opens first, but where the old one is in its way: one port, by another address of this host.
      const inTheWay = to !== undefined && to.port !== 0 && to.port === before?.address.port;
      if (inTheWay) await before?.server.stop();
      try {
        await open(to);
      } catch (error) {
        if (inTheWay) await open(before?.address);
        else listening = before;
        throw error;
      }
      if (!inTheWay) await before?.server.stop();
    },
    async stop() {
      await listening?.server.stop();
    },
  };
}
