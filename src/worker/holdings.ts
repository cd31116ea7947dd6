import { protocolLimits } from '../shared/driver-protocol.ts';

/**
 * What this instance holds, by request id: the `holding` list of every lease call. An id is in here from its delivery
 * until its outcome is acknowledged or it is given back.
 *
 *   in work    delivered; queued, in the HSM or on its way to the journal
 *   answered   its outcome is in the reporter; stays held until the API acknowledged it
 *   returned   given back while still in work (the database was lost): no longer listed, so another instance may get
 *              it. If its work ends well all the same, the outcome is reported: the API takes the first success.
 */
interface Holding {
  lease: string;
  readonly weight: number;
  /** When it was delivered first, on the monotonic clock. */
  readonly since: number;
  phase: 'in work' | 'answered' | 'returned';
}

export class Holdings {
  readonly #held = new Map<string, Holding>();

  /** Most ids that may be held at once: bounds memory and the `holding` list while outcomes cannot be delivered. */
  static readonly limit = 8 * protocolLimits.maxBatch;

  /**
   * A delivery. The same id again (an answer that was lost, a lease that ended early) is one piece of work with a
   * newer lease.
   * @param weight how many signatures or keys it asks for.
   * @returns false when it was merged into work that is already here.
   */
  take(id: string, lease: string, weight: number): boolean {
    const known = this.#held.get(id);
    if (known === undefined) {
      this.#held.set(id, { lease, weight, since: performance.now(), phase: 'in work' });
      return true;
    }
    known.lease = lease;
    if (known.phase === 'returned') known.phase = 'in work';
    return false;
  }

  answered(id: string): void {
    const holding = this.#held.get(id);
    if (holding !== undefined) holding.phase = 'answered';
  }

  /** Acknowledged or given back: forgotten. */
  drop(id: string): void {
    this.#held.delete(id);
  }

  /** Gives back everything that has no outcome yet; what is running goes on and may still end well. */
  returnWork(): void {
    for (const holding of this.#held.values()) if (holding.phase === 'in work') holding.phase = 'returned';
  }

  isReturned(id: string): boolean {
    return this.#held.get(id)?.phase === 'returned';
  }

  /** Since its delivery; 0 for an id that is not held. */
  ageMs(id: string): number {
    const holding = this.#held.get(id);
    return holding === undefined ? 0 : performance.now() - holding.since;
  }

  /** The newest lease of an id. */
  leaseOf(id: string): string | undefined {
    return this.#held.get(id)?.lease;
  }

  /** What the next lease call names. */
  ids(): string[] {
    return [...this.#held].filter(([, holding]) => holding.phase !== 'returned').map(([id]) => id);
  }

  /** Signatures and keys not yet made or stored. */
  weightInWork(): number {
    let weight = 0;
    for (const holding of this.#held.values()) if (holding.phase !== 'answered') weight += holding.weight;
    return weight;
  }

  get size(): number {
    return this.#held.size;
  }
}
