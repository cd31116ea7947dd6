import type pg from 'pg';

/** How often this process notes the instances whose lease call it holds, in milliseconds. */
const notePeriodMs = 500;

const notingSeen = {
  name: 'api_note_instances',
  // Waits for none of them: one that is being changed is seen by its own call, or ended.
  text: `with mine as (
       select id from driver_instance where id = any($1) and ended_at is null for update skip locked
     )
     update driver_instance set seen_at = now() from mine where driver_instance.id = mine.id`,
};

/**
 * Presence of driver instances: an instance with a lease call in flight is alive, and its connection's end is seen at
 * once. Each API process notes database time for its own; expiry.ts ends the leases of those not seen.
 */
export function createPresence(pool: pg.Pool, failed: (error: unknown) => void) {
  /** Calls in flight by instance: an aborted call may overlap the next one. */
  const inFlight = new Map<string, number>();
  let noting = false;

  const note = async (): Promise<void> => {
    if (noting || inFlight.size === 0) return;
    noting = true;
    try {
      await pool.query({ ...notingSeen, values: [[...inFlight.keys()]] });
    } catch (error) {
      failed(error);
    } finally {
      noting = false;
    }
  };
  const timer = setInterval(() => void note(), notePeriodMs);

  return {
    enter(instance: string): void {
      inFlight.set(instance, (inFlight.get(instance) ?? 0) + 1);
    },
    leave(instance: string): void {
      const calls = (inFlight.get(instance) ?? 1) - 1;
      if (calls === 0) inFlight.delete(instance);
      else inFlight.set(instance, calls);
    },
    stop(): void {
      clearInterval(timer);
    },
  };
}
export type Presence = ReturnType<typeof createPresence>;
