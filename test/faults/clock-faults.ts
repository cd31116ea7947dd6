import { shiftedClock } from '../support/shifted-clock/shifted-clock.ts';
import { until } from '../support/until.ts';
import type { Fault } from './fault.ts';

const hourS = 3_600;
/** Requests that node 1 must sign with its wrong clock. */
const enough = 20;

/**
 * A node whose clock is wrong: what must be in time (leases, heartbeats, who leads, which PIN was refused when) is told by
 * the databases’ clock or measured as durations. Only certificates are judged by a node’s own clock.
 */
function wrongClock(name: string, seconds: number): Fault {
  return {
    name,
    async prepare(system) {
      await system.restartNode(1, 'SIGTERM', { via: await shiftedClock(seconds) });
    },
    async inject(system) {
      const before = await system.signed(1);
      await until('node 1 signs', async () => (await system.signed(1)) > before + enough, 40_000);
    },
    tidy: (system) => system.restartNode(1, 'SIGTERM'),
    expect: { during: ['ready'] },
    async check(system) {
      const status = await system.status(1);
      const started = [status?.startedAt, status?.slots[0]?.worker?.startedAt].map((at) => Date.parse(at ?? ''));
      const aheadS = started.map((at) => (at - Date.now()) / 1_000);
      // It started a minute or so ago, by a clock that is an hour off.
      return aheadS.every((ahead) => Math.abs(ahead - seconds) < hourS / 4) ? [] : ['its clock was not wrong'];
    },
  };
}

export const clockFaults: readonly Fault[] = [
  wrongClock('a node whose clock is an hour ahead', hourS),
  wrongClock('a node whose clock is an hour behind', -hourS),
];
