import type { ToPrimary } from '../shared/ipc.ts';
import type { WorkerReport } from '../shared/worker-report.ts';
import type { PrimaryLink } from './primary-link.ts';

/**
 * The worker's signs of life, until its end: heartbeats with the age of the oldest native call, which the primary's
 * watchdog lives on, and reports. The main thread makes no native call, so it can always tell of one that hangs.
 */
export interface Pulse {
  /** From when the HSM is being opened. */
  watch(oldestCallMs: () => number): void;
  /** From when there is something to report. */
  report(report: () => WorkerReport): void;
  stop(): void;
}

export const heartbeatMs = 250;
export const reportMs = 1_000;

export function startPulse(link: Pick<PrimaryLink, 'deliver'>): Pulse {
  let oldestCallMs = (): number => 0;
  let report: (() => WorkerReport) | undefined;
  const sendHeartbeat = unlessStuck(link, () => ({ type: 'heartbeat', oldestCallMs: Math.round(oldestCallMs()) }));
  const sendReport = unlessStuck(link, () => report && { type: 'report', report: report() });
  const timers = [setInterval(sendHeartbeat, heartbeatMs), setInterval(sendReport, reportMs)];
  sendHeartbeat();
  return {
    watch(source) {
      oldestCallMs = source;
    },
    report(source) {
      report = source;
      sendReport();
    },
    stop() {
      for (const timer of timers) clearInterval(timer);
    },
  };
}

/** A primary that does not read must not make this process's memory grow: one message of a kind on its way. */
function unlessStuck(link: Pick<PrimaryLink, 'deliver'>, message: () => ToPrimary | undefined): () => void {
  let onItsWay = false;
  return () => {
    const next = onItsWay ? undefined : message();
    if (next === undefined) return;
    onItsWay = true;
    void link.deliver(next).finally(() => {
      onItsWay = false;
    });
  };
}
