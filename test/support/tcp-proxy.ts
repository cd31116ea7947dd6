import type { AddressInfo } from 'node:net';
import { connect, createServer, type Socket } from 'node:net';
import type { Cleanup } from './soft-token.ts';

/** A wire between two processes that a test can cut while something is on it. */
export interface TcpProxy {
  readonly port: number;
  /** Breaks all connections; new ones work again. */
  cut(): void;
  /** From now on nothing passes and nobody is told: packets vanish, as with a host that is powered off. */
  freeze(): void;
  /** What is sent to the target still arrives; its answers do not come through. */
  mute(): void;
  /** What was held up passes again. */
  thaw(): void;
  /** Ports from which it is connected to the target now. */
  ports(): number[];
}

/**
 * @param target a port of 127.0.0.1; a function is asked for each connection.
 * @param host to listen on.
 */
export async function openTcpProxy(t: Cleanup, target: number | (() => number), host = '127.0.0.1'): Promise<TcpProxy> {
  const sockets = new Set<Socket>();
  const further = new Set<Socket>();
  let frozen = false;
  let muted = false;
  const server = createServer((near) => {
    const far = connect(typeof target === 'number' ? target : target(), '127.0.0.1');
    further.add(far);
    far.once('close', () => further.delete(far));
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(from);
      from.pipe(to);
      if (frozen || (muted && from === far)) from.pause();
      from.on('error', () => to.destroy());
      from.on('close', () => {
        sockets.delete(from);
        to.destroy();
      });
    }
  });
  await new Promise<void>((resolve) => server.listen(0, host, resolve));
  const cut = (): void => {
    for (const socket of sockets) socket.destroy();
  };
  const freeze = (): void => {
    frozen = true;
    for (const socket of sockets) socket.pause();
  };
  const mute = (): void => {
    muted = true;
    for (const socket of further) socket.pause();
  };
  const thaw = (): void => {
    frozen = muted = false;
    for (const socket of sockets) socket.resume();
  };
  const ports = (): number[] => [...further].map(({ localPort = 0 }) => localPort);
  t.teardown(() => {
    cut();
    server.close();
  });
  return { port: (server.address() as AddressInfo).port, cut, freeze, mute, thaw, ports };
}
