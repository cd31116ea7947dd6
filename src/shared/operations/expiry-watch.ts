import type { Log } from '../log.ts';

/** Something that ends at a known time, and that a person must renew before. */
export interface Expiring {
  /** For people: a file, a node, a token's id; never a secret. */
  readonly what: string;
  /** ISO 8601. */
  readonly notAfter: string;
}

export interface ExpiryWatch {
  stop(): void;
}

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;
const warnDays = 30;
const alarmDays = 7;

/** What is worth a line: nearest first. Pure. */
export function expiringSoon(all: readonly Expiring[], nowMs: number): (Expiring & { readonly days: number })[] {
  return all
    .map((one) => ({ ...one, days: Math.floor((Date.parse(one.notAfter) - nowMs) / dayMs) }))
    .filter(({ days }) => days < warnDays)
    .toSorted((a, b) => a.days - b.days);
}

/** One line a day for each thing that expires within a month: a warning, and an error in its last week and after. */
export function startExpiryWatch(read: () => Promise<readonly Expiring[]>, log: Log): ExpiryWatch {
  const toldAt = new Map<string, number>();
  let timer: NodeJS.Timeout | undefined;

  async function look(): Promise<void> {
    const now = Date.now();
    for (const { what, notAfter, days } of expiringSoon(await read(), now)) {
      const key = `${what} ${notAfter}`;
      if (now - (toldAt.get(key) ?? 0) < dayMs - hourMs / 2) continue;
      toldAt.set(key, now);
      log[days < alarmDays ? 'error' : 'warn']({ what, notAfter, days }, days < 0 ? 'expired' : 'expires soon');
    }
    for (const [key, at] of toldAt) if (now - at > 2 * dayMs) toldAt.delete(key);
  }

  function again(): void {
    // What cannot be read now is read in an hour; whoever reads it for its work says that it failed.
    look()
      .catch((error) => log.debug({ cause: (error as Error).message }, 'expiry dates not read'))
      .finally(() => {
        timer = setTimeout(again, hourMs).unref();
      });
  }

  again();
  return { stop: () => clearTimeout(timer) };
}
