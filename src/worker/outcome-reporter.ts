import {
  type Acknowledgement,
  type Outcome,
  type OutcomeResult,
  type OutcomesAnswer,
  protocolLimits,
} from '../shared/driver-protocol.ts';
import { asCodedError, type CodedError } from '../shared/errors.ts';
import type { Log } from '../shared/log.ts';
import { createQuietLog } from '../shared/quiet-log.ts';
import { createAlarm } from './alarm.ts';
import { retryDelayMs } from './api-client.ts';
import { ApiFailure } from './api-transport.ts';
import { createBackOff } from './back-off.ts';
import type { Holdings } from './holdings.ts';
import type { Count } from './metrics.ts';

/**
 * Delivers outcomes: one call on the wire at a time, everything that is ready goes with the next one, repeated until
 * the API has answered for each. Until then they stay held.
 */
export interface OutcomeReporter {
  report(id: string, result: OutcomeResult): void;
  /** Resolves when nothing waits any more, or never will be delivered (the instance was ended). */
  drained(): Promise<void>;
  stop(): void;
}

export interface ReporterOptions {
  send(outcomes: readonly Outcome[], signal: AbortSignal): Promise<OutcomesAnswer>;
  readonly holdings: Holdings;
  /** Outcomes were acknowledged: places are free. */
  readonly onAcknowledged: () => void;
  readonly onEnded: (error: CodedError) => void;
  readonly count: Count;
  readonly log: Log;
}

/** Bounds a call's body to about a megabyte; one outcome may carry 256 signatures. */
const maxSignaturesPerCall = 4_096;

export function createOutcomeReporter(options: ReporterOptions): OutcomeReporter {
  const { holdings, log } = options;
  const waiting = new Map<string, OutcomeResult>();
  const alarm = createAlarm();
  const backOff = createBackOff(100, 2_000);
  const quiet = createQuietLog(log);
  const stopped = new AbortController();
  let sending: Promise<void> | undefined;

  async function deliver(): Promise<void> {
    // The outcomes of a batch are reported one after the other in one go: all of them leave with the first call.
    await Promise.resolve();
    while (waiting.size > 0 && !stopped.signal.aborted) {
      const outcomes = nextBatch();
      try {
        const answer = await options.send(outcomes, stopped.signal);
        backOff.reset();
        const settled = settle(outcomes, answer);
        if (settled > 0) options.onAcknowledged();
        // An API that answers but leaves outcomes out is not asked in a tight loop.
        if (settled === 0 && waiting.size > 0) await alarm.sleep(1_000);
      } catch (error) {
        if (stopped.signal.aborted) break;
        if (!(error instanceof ApiFailure)) {
          waiting.clear();
          options.onEnded(asCodedError(error));
          break;
        }
        alarm.clear();
        await alarm.sleep(retryDelayMs(error, backOff));
      }
    }
    // In the same turn as the last look at `waiting`: no outcome can fall between.
    sending = undefined;
  }

  function nextBatch(): Outcome[] {
    const batch: Outcome[] = [];
    let signatures = 0;
    for (const [id, result] of waiting) {
      signatures += result.kind === 'Signatures' ? result.signatures.length : 1;
      if (batch.length > 0 && (batch.length === protocolLimits.maxBatch || signatures > maxSignaturesPerCall)) break;
      const lease = holdings.leaseOf(id);
      if (lease === undefined) throw new Error('an outcome that waits is held');
      batch.push({ id, lease, result });
    }
    return batch;
  }

  /** @returns how many are done with. */
  function settle(sent: readonly Outcome[], answer: OutcomesAnswer): number {
    const told = new Map(answer.outcomes.map((one) => [one.id, one.acknowledgement]));
    let settled = 0;
    for (const outcome of sent) {
      const acknowledgement = told.get(outcome.id);
      if (acknowledgement === undefined) continue;
      settled += 1;
      // Delivered again while the old lease was on the wire: the outcome is told once more, with the new one.
      if (acknowledgement === 'unknown' && holdings.leaseOf(outcome.id) !== outcome.lease) continue;
      note(outcome, acknowledgement);
      waiting.delete(outcome.id);
      holdings.drop(outcome.id);
    }
    return settled;
  }

  function note(outcome: Outcome, acknowledgement: Acknowledgement): void {
    const fields = { requestId: outcome.id, outcome: outcome.result.kind };
    switch (acknowledgement) {
      case 'accepted':
      case 'duplicate':
        log.debug({ ...fields, acknowledgement }, 'outcome acknowledged');
        return;
      case 'conflict':
        options.count('outcomes_conflicting');
        log.error(fields, 'outcome contradicts what the API accepted before or knows of the key');
        return;
      case 'unknown':
        options.count('outcomes_late');
        quiet.warn({ ...fields, code: acknowledgement }, 'outcome came too late: the API no longer waits for it');
        return;
      default:
        throw new Error(`unknown acknowledgement: ${acknowledgement satisfies never}`);
    }
  }

  return {
    report(id, result) {
      if (stopped.signal.aborted) return;
      waiting.set(id, result);
      sending ??= deliver();
    },
    async drained() {
      alarm.ring();
      await sending;
    },
    stop() {
      stopped.abort();
      alarm.ring();
    },
  };
}
