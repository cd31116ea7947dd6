import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import type { Cleanup } from './soft-token.ts';

const run = promisify(execFile);

/**
 * Hosts of their own on one machine: network namespaces on a bridge, each behind a cable that can be pulled. What is on
 * the way then vanishes, and nobody is told: no FIN, no RST, as with a machine that lost its power.
 */
export interface NetworkHosts {
  /** This machine’s address there: what the hosts call. */
  readonly address: string;
  host(n: number): NetworkHost;
}

export interface NetworkHost {
  readonly address: string;
  /** What to put before a command so that it runs on this host. */
  readonly via: readonly string[];
  unplug(): Promise<void>;
  plug(): Promise<void>;
}

const prefixLength = 24;

/** Makes hosts 1 to `count`; or one sentence why that cannot be done here. */
export async function openNetworkHosts(t: Cleanup, count: number): Promise<NetworkHosts | string> {
  if (process.platform !== 'linux') return 'network namespaces need Linux';
  if (process.getuid?.() !== 0) return 'network namespaces need root';
  // Several runs at a time each have their own; interface names have at most 15 characters.
  const id = process.pid % 0xffff;
  const [name, net] = [`hsm${id.toString(36)}`, `10.${64 + ((id >> 8) % 128)}.${id & 0xff}`];
  const numbers = Array.from({ length: count }, (_none, at) => at + 1);
  const undo: string[][] = [];
  t.teardown(async () => {
    for (const args of undo.reverse()) await run('ip', args).catch(() => {});
  });
  const ip = async (...args: readonly string[]) => await run('ip', [...args]);
  try {
    await ip('link', 'add', name, 'type', 'bridge');
    undo.push(['link', 'delete', name]);
    await ip('address', 'add', `${net}.1/${prefixLength}`, 'dev', name);
    await ip('link', 'set', name, 'up');
    for (const n of numbers) {
      const space = `${name}-${n}`;
      await ip('netns', 'add', space);
      undo.push(['netns', 'delete', space]);
      await ip('link', 'add', `${name}p${n}`, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', space);
      await ip('link', 'set', `${name}p${n}`, 'master', name, 'up');
      await ip('-n', space, 'address', 'add', `${net}.${10 + n}/${prefixLength}`, 'dev', 'eth0');
      for (const device of ['lo', 'eth0']) await ip('-n', space, 'link', 'set', device, 'up');
    }
  } catch (error) {
    return `network namespaces cannot be made here (${String((error as Error).message)
      .trim()
      .split('\n')
      .at(-1)})`;
  }
  return {
    address: `${net}.1`,
    host: (n) => ({
      address: `${net}.${10 + n}`,
      via: ['nsenter', `--net=/run/netns/${name}-${n}`],
      // The bridge’s end of the cable, so that neither side sees its own interface go down.
      unplug: async () => void (await ip('link', 'set', `${name}p${n}`, 'nomaster')),
      plug: async () => void (await ip('link', 'set', `${name}p${n}`, 'master', name)),
    }),
  };
}
