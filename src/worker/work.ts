import { setTimeout as sleep } from 'node:timers/promises';
import type { LeasedRequest } from '../shared/driver-protocol.ts';
import type { Log } from '../shared/log.ts';
import { createQuietLog } from '../shared/quiet-log.ts';
import type { Capacity } from './capacity.ts';
import { DatabaseLost } from './database.ts';
import type { DeviceJudge } from './device-judge.ts';
import type { Easing } from './easing.ts';
import { Holdings } from './holdings.ts';
import type { HsmFailure } from './hsm/jobs.ts';
import type { MadeKey } from './jobs/generate-key.ts';
import { type Ending, ended, errorOutcome, type Job, type Step } from './jobs/job.ts';
import type { MadeSignatures } from './jobs/sign.ts';
import type { Metrics } from './metrics.ts';
import { oneByOne } from './one-by-one.ts';

/**
 * Carries delivered requests through their two phases (make in the HSM, keep in the database) to exactly one ending
 * each. Batches form by themselves: while the HSM is busy, arrivals wait and leave together. Two batches are inside at
 * a time, so that the HSM never waits for the database or the network between them.
 *
 * A request at its second attempt or later may be what killed the last worker: it waits until nothing else is held,
 * and nothing is taken beside it, but for those at their second attempt that came with it.
 */
export interface Work {
  take(requests: readonly LeasedRequest[]): void;
  /** How many more requests may be asked for now. */
  room(): number;
  /** Looks again whether something can begin: after an acknowledgement, or when the device is sound again. */
  look(): void;
  /** Lets go of everything without an outcome; what is in the HSM goes on. */
  giveBack(): void;
  /** Begins nothing more; resolves when everything that had begun has ended. */
  finish(): Promise<void>;
}

export interface WorkOptions {
  readonly generateKey: Job<Extract<LeasedRequest, { kind: 'GenerateKey' }>, MadeKey>;
  readonly sign: Job<Extract<LeasedRequest, { kind: 'Sign' }>, MadeSignatures>;
  readonly threads: number;
  readonly capacity: Capacity;
  readonly holdings: Holdings;
  readonly device: Pick<DeviceJudge, 'judge'>;
  readonly easing: Easing;
  /** False while the device is suspect: nothing enters the HSM. */
  readonly mayBegin: () => boolean;
  readonly report: (id: string, outcome: Exclude<Ending, 'given back'>) => void;
  /** Room may have appeared. */
  readonly onRoom: () => void;
  readonly metrics: Metrics;
  readonly log: Log;
}

export function createWork(options: WorkOptions): Work {
  const { capacity, holdings, device, easing, threads, metrics, log } = options;
  const quiet = createQuietLog(log);
  let queue: LeasedRequest[] = [];
  /** Each group waits until it is alone. */
  let apart: LeasedRequest[][] = [];
  let oneIsApart = false;
  /** Batches in the HSM, and batches not yet ended. */
  let inside = 0;
  let running = 0;
  let finishing: PromiseWithResolvers<void> | undefined;

  function look(): void {
    if (finishing !== undefined || !options.mayBegin()) return;
    for (;;) {
      const free = easing.limit() - capacity.inside;
      if (queue.length === 0 || free <= 0 || (inside >= 2 && capacity.inside >= 2 * threads)) break;
      begin(queue.splice(0, Math.min(capacity.batch(), free)));
    }
    const first = apart[0];
    const limit = Math.min(capacity.batch(), easing.limit());
    if (first === undefined || limit <= 0 || running > 0 || queue.length > 0) return;
    if (holdings.size !== apart.flat().length) return;
    oneIsApart = true;
    begin(first.splice(0, limit));
    if (first.length === 0) apart.shift();
  }

  function begin(batch: readonly LeasedRequest[]): void {
    const keys = batch.filter((request) => request.kind === 'GenerateKey');
    const signs = batch.filter((request) => request.kind === 'Sign');
    if (keys.length > 0) void run(options.generateKey, keys);
    if (signs.length > 0) void run(options.sign, signs);
  }

  async function run<Request extends LeasedRequest, Made>(
    job: Job<Request, Made>,
    batch: readonly Request[],
  ): Promise<void> {
    running += 1;
    inside += 1;
    const leave = capacity.begin(batch.reduce((sum, request) => sum + job.weight(request), 0));
    const steps = await oneByOne(
      batch,
      job.make,
      isGeneral,
      (request, error): Step<Made> => ended(endingOf(request, error)),
    );
    leave();
    inside -= 1;
    look();
    options.onRoom();
    // The good ones do not wait for the verdict on the device.
    await Promise.all([keepMade(job, batch, steps), endOthers(batch, steps)]);
    running -= 1;
    if (running === 0) {
      oneIsApart = false;
      finishing?.resolve();
    }
    look();
    options.onRoom();
  }

  async function keepMade<Request extends LeasedRequest, Made>(
    job: Job<Request, Made>,
    batch: readonly Request[],
    steps: readonly Step<Made>[],
  ): Promise<void> {
    const made = batch.flatMap((request, at) => {
      const step = steps[at];
      return step?.step === 'made' ? [{ request, made: step.made }] : [];
    });
    const keep = (list: readonly (typeof made)[number][]) => job.keep(list.map((one) => one.made));
    const endings = await oneByOne(made, keep, isGeneral, ({ request }, error) => endingOf(request, error));
    for (const [at, { request }] of made.entries()) end(request, endings[at] as Ending);
  }

  async function endOthers<Made>(batch: readonly LeasedRequest[], steps: readonly Step<Made>[]): Promise<void> {
    await Promise.all(
      batch.map(async (request, at) => {
        const step = steps[at];
        if (step?.step === 'ended') end(request, step.ending);
        else if (step?.step === 'failed') end(request, await endingOfFailure(step.failure));
      }),
    );
  }

  async function endingOfFailure(failure: HsmFailure): Promise<Ending> {
    const verdict = await device.judge(failure);
    switch (verdict) {
      case 'faulty':
        return errorOutcome('HSM_DEVICE_FAULT', failure.message, true);
      case 'crowded':
        // No fault of anybody: whoever has room takes it, and it counts as no attempt.
        return 'given back';
      case 'sound':
        // Where no slot holds the key, the request would circle between them as fast as the network is.
        if (failure.code === 'KEY_NOT_ON_SLOT') await sleep(circlingPauseMs, undefined, { ref: false });
        return {
          ...errorOutcome(failure.code, failure.message, failure.retryable || failure.device !== 'healthy'),
          ...(failure.elsewhere === true ? { elsewhere: true } : {}),
        };
      default:
        return verdict satisfies never;
    }
  }

  function endingOf(request: LeasedRequest, error: unknown): Ending {
    if (error instanceof DatabaseLost) return 'given back';
    log.error({ requestId: request.id, keyId: request.keyId, err: error }, 'request failed unexpectedly');
    return errorOutcome('INTERNAL', 'the driver could not work on this request; its log holds the cause', false);
  }

  /** The one place where a request ends. */
  function end(request: LeasedRequest, ending: Ending): void {
    if (ending !== 'given back' && ending.kind === 'Error') {
      const { code, message: cause } = ending;
      const fields = { requestId: request.id, keyId: request.keyId, code, cause };
      log.debug(fields, 'request ended with an error');
      quiet.warn(fields, 'request failed');
    }
    metrics.observe('inDriver', request.kind, holdings.ageMs(request.id));
    // An error counts only with a live lease, and what was given back has none.
    if (ending === 'given back' || (ending.kind === 'Error' && holdings.isReturned(request.id))) {
      gaveBack([request]);
    } else {
      metrics.ended(request.kind, outcomeName(ending));
      holdings.answered(request.id);
      options.report(request.id, ending);
    }
  }

  function gaveBack(requests: readonly LeasedRequest[]): void {
    for (const { id, kind } of requests) {
      holdings.drop(id);
      metrics.ended(kind, 'given back');
    }
    metrics.count('leases_given_back', requests.length);
  }

  /** What has not begun. */
  function giveBackWaiting(): void {
    const waiting = [...queue, ...apart.flat()];
    queue = [];
    apart = [];
    gaveBack(waiting);
  }

  return {
    take(requests) {
      metrics.count('leases_taken', requests.length);
      for (const { kind, queuedMs } of requests) if (queuedMs !== undefined) metrics.observe('inQueue', kind, queuedMs);
      const second: LeasedRequest[] = [];
      for (const request of requests) {
        const weight = request.kind === 'Sign' ? options.sign.weight(request) : options.generateKey.weight(request);
        if (!holdings.take(request.id, request.lease, weight)) {
          log.debug({ requestId: request.id }, 'delivered again while in work');
        } else if (request.attempt === 1) queue.push(request);
        else if (request.attempt === 2) second.push(request);
        else apart.push([request]);
      }
      if (second.length > 0) apart.push(second);
      look();
    },
    room() {
      if (oneIsApart || apart.length > 0 || holdings.size >= Holdings.limit) return 0;
      const weight = holdings.weightInWork();
      return Math.max(0, Math.min(capacity.room(weight), easing.limit() - weight, Holdings.limit - holdings.size));
    },
    look,
    giveBack() {
      giveBackWaiting();
      holdings.returnWork();
    },
    async finish() {
      finishing ??= Promise.withResolvers<void>();
      giveBackWaiting();
      if (running === 0) finishing.resolve();
      await finishing.promise;
    },
  };
}

const circlingPauseMs = 100;

function outcomeName(result: Exclude<Ending, 'given back'>): string {
  switch (result.kind) {
    case 'PublicKey':
      return 'made';
    case 'Signatures':
      return 'signed';
    case 'Error':
      return `error ${result.code}`;
    default:
      return result satisfies never;
  }
}

function isGeneral(error: unknown): boolean {
  return error instanceof DatabaseLost;
}
