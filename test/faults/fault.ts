import type { Load, SignedRequest } from '../support/load.ts';
import type { Answer } from '../support/signing-application.ts';
import type { FaultSystem } from './fault-system.ts';

/** Applications that sign meanwhile, each one request at a time. */
export const loops = 4;

/**
 * One fault as a row of the table. It is put on node 1 (or on what `spares` says) while applications sign; no request
 * may be lost or fail, whatever happens.
 */
export interface Fault {
  readonly name: string;
  /** One sentence, where this machine cannot do it: the row is skipped, and says so. */
  impossible?(): Promise<string | undefined>;
  /** Before anybody signs, and after nobody does any more. */
  prepare?(system: FaultSystem): unknown;
  tidy?(system: FaultSystem): unknown;
  inject(system: FaultSystem): unknown;
  /** Ends the fault, not its consequences. Absent: it is over at once. */
  heal?(system: FaultSystem): unknown;
  /** Where the slot is latched: what an operator does, after `heal`. */
  repair?(system: FaultSystem): unknown;
  readonly expect: {
    /** One of these is seen on node 1 while the fault lasts; see `sightOf`. */
    readonly during: readonly string[];
    /** From then until `heal` node 1 is never ready. */
    readonly staysDown?: true;
    /** Stays as it is after `heal`, until `repair`. */
    readonly latched?: true;
    /** Where the API itself, or its database, is away: one more try with the same externalId may be needed. */
    readonly retryOnce?: true;
    /** A call’s deadline that passes before anybody knows of the fault. */
    readonly deadlineMs?: number;
    /** Answers that are right although nothing was signed; for requests that this fault makes impossible. */
    mayAnswer?(answer: Answer, request: SignedRequest): boolean;
  };
  /** How long it lasts once it was seen. */
  readonly lastsMs?: number;
  /** Both nodes suffer: nobody is asked to carry on meanwhile. Default: node 2 must. */
  readonly hitsBoth?: true;
  /** More that must be so, once all is over; one sentence for each thing that is not. */
  check?(system: FaultSystem, seen: Seen): Promise<readonly string[]> | readonly string[];
  /** Where the fault is the end of a worker: from that until the next one polls, in milliseconds. */
  replacedMs?(system: FaultSystem): Promise<number>;
  /** Where applications call instead of the API’s own address. */
  baseUrl?(system: FaultSystem): string;
}

export interface Seen {
  readonly load: Load;
  readonly history: readonly SignedRequest[];
}
