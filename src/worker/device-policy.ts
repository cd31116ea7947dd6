import { CodedError, catalogueEntry } from '../shared/errors.ts';
import type { HsmFailure, HsmResult } from './hsm/jobs.ts';

/**
 * What a worker does about what its HSM answers. Pure: the judge (device-judge.ts) obeys.
 *
 *   an answer that says                       and then
 *   the request is at fault                   nothing: the HSM is healthy
 *   no room for a session or an object        ease: fewer at a time, wait; the HSM is healthy
 *   the device may be at fault                probe: a real wrap, unwrap, sign and verify, before anything else
 *   this process will not reach it again      leave: the primary starts a new process
 *
 *   a probe that                              and then
 *   succeeds                                  sound: work goes on
 *   finds no room                             wait, and probe again; it says nothing about the device
 *   fails                                     breaker open: no work, probe again after a pause
 *   fails for the last time, or for good      leave
 *
 * "Will not reach it again" is the HSM layer's word (`lost`, from the table of return values): the token is gone, the
 * library was unloaded, the PIN is refused, it is another master key. Recovery is a new process: C_Finalize may hang.
 */
export type Response = 'nothing' | 'ease' | 'probe' | 'leave';

export function respond({ code, device }: Pick<HsmFailure, 'code' | 'device'>): Response {
  if (code === 'HSM_BACK_PRESSURE') return 'ease';
  switch (device) {
    case 'healthy':
      return 'nothing';
    case 'suspect':
      return 'probe';
    case 'lost':
      return 'leave';
    default:
      throw new Error(`unknown: ${device satisfies never}`);
  }
}

/**
 * Pauses after the first, second, … failed probe in a row; after the last one the process leaves. Short: a device that
 * came back at once is worth a moment, everything else is mended by a new process, and meanwhile nobody waits for this
 * slot because its work went back.
 */
export const pausesAfterFailureMs = [250, 500, 1_000] as const;

/** The same for probes that found no room: sessions of others may end; our own leaked ones end with the process. */
export const pausesWithoutRoomMs = [100, 200, 400, 800, 1_600, 2_000, 2_000, 2_000, 2_000, 2_000] as const;

export type Proof =
  | { readonly is: 'sound' }
  | { readonly is: 'crowded'; readonly pauseMs: number }
  | { readonly is: 'faulty'; readonly pauseMs: number }
  | { readonly is: 'hopeless'; readonly error: CodedError };

/**
 * @param failed probes that failed in a row, this one not included.
 * @param crowded probes that found no room in a row, this one not included.
 */
export function afterProbe(result: HsmResult<undefined>, failed: number, crowded: number): Proof {
  if (result.ok) return { is: 'sound' };
  const response = respond(result);
  if (response === 'leave') return { is: 'hopeless', error: lastWords(result) };
  // A probe that the HSM refuses as it would refuse bad data has failed: its data is the worker's own.
  const pauses = response === 'ease' ? pausesWithoutRoomMs : pausesAfterFailureMs;
  const pauseMs = pauses[response === 'ease' ? crowded : failed];
  if (pauseMs === undefined) return { is: 'hopeless', error: lastWords(result) };
  return { is: response === 'ease' ? 'crowded' : 'faulty', pauseMs };
}

/** The code decides how the primary goes on: after a refused PIN it must not start another worker. */
export function lastWords({ code, message }: Pick<HsmFailure, 'code' | 'message'>): CodedError {
  const named = catalogueEntry(code).exit !== undefined && code !== 'INTERNAL';
  return new CodedError(named ? code : 'HSM_DEVICE_FAULT', message);
}
