import type { Registry } from 'prom-client';
import { catalogue } from '../../shared/error-catalogue.ts';
import type { Families, Sample } from '../../shared/operations/families.ts';
import { slotStates } from '../slot-table.ts';
import { ReportedHistogram } from './reported-histogram.ts';
import type { NodeStatus, SlotStatus } from './status.ts';
import type { SlotTotals } from './totals.ts';

/** Read at each scrape. */
export interface SlotMetricsSource {
  readonly status: () => NodeStatus;
  readonly totals: () => ReadonlyMap<string, SlotTotals>;
}

/** What is said of each slot: totals over its workers, and what it is at this moment. */
export function addSlotMetrics(
  registry: Registry,
  prefix: string,
  families: Families,
  source: SlotMetricsSource,
): void {
  addTotals(registry, prefix, families, source);
  addStates(families, source);
}

function addTotals(registry: Registry, prefix: string, { counter }: Families, source: SlotMetricsSource): void {
  function each<Item>(read: (slot: string, totals: SlotTotals) => Item[]): Item[] {
    return [...source.totals()].flatMap(([slot, totals]) => read(slot, totals));
  }
  function histogram(name: string, help: string, member: 'inQueue' | 'inDriver' | 'inHsm'): void {
    const family = { name: `${prefix}${name}`, help, labelNames: ['slot', 'kind'] };
    new ReportedHistogram(family, [registry], () =>
      each((slot, totals) =>
        Object.entries(totals[member]).map(([kind, one]) => ({ labels: { slot, kind }, histogram: one })),
      ),
    );
  }

  counter('requests_total', 'Requests that ended, by kind and outcome', ['slot', 'kind', 'outcome', 'code'], () =>
    each((slot, { requests }) =>
      Object.entries(requests).map(([name, count]): Sample => [requestLabels(slot, name), count]),
    ),
  );
  counter(
    'events_total',
    'Journal rows and conflicts, leases, discarded signatures and the like',
    ['slot', 'event'],
    () => each((slot, { events }) => Object.entries(events).map(([event, count]): Sample => [{ slot, event }, count])),
  );
  histogram('queue_wait_seconds', 'From the application’s request to its lease', 'inQueue');
  histogram('request_seconds', 'From the delivery of a request to its outcome', 'inDriver');
  histogram('hsm_seconds', 'In the HSM layer, waiting for a session thread included', 'inHsm');
}

/** `Sign signed`, `Sign given back`, `Sign error KEY_UNUSABLE`: a code that is not in the catalogue counts as `other`. */
function requestLabels(slot: string, name: string): Record<string, string> {
  const [kind = '', ...words] = name.split(' ');
  const code = words[0] === 'error' ? (words[1] ?? '') : '';
  const outcome = code === '' ? words.join(' ') : 'error';
  return { slot, kind, outcome, code: code === '' || code in catalogue ? code : 'other' };
}

function addStates({ gauge, counter }: Families, { status }: SlotMetricsSource): void {
  function each(read: (slot: SlotStatus) => readonly Sample[]): Sample[] {
    return status().slots.flatMap(read);
  }
  const one = (slot: string, value: number | undefined): Sample[] => (value === undefined ? [] : [[{ slot }, value]]);
  const flag = (slot: string, value: boolean | undefined): Sample[] =>
    one(slot, value === undefined ? undefined : Number(value));
  /** One series for each state that there is: 1 for the one that holds. */
  const oneOf = (slot: string, states: readonly string[], holds: string | undefined): Sample[] =>
    holds === undefined ? [] : states.map((state) => [{ slot, state }, Number(state === holds)]);

  counter('worker_restarts_total', 'Workers that were replaced, by how the one before ended', ['slot', 'reason'], () =>
    each(({ name, restarts }) => Object.entries(restarts).map(([reason, count]) => [{ slot: name, reason }, count])),
  );
  gauge('slot_state', '1 for the state that the slot is in', ['slot', 'state'], () =>
    each(({ name, state }) => oneOf(name, slotStates, state)),
  );
  gauge('slot_breaker', '1 for the state that the slot’s breaker is in', ['slot', 'state'], () =>
    each(({ name, breaker }) => oneOf(name, ['closed', 'open', 'half-open'], breaker)),
  );
  gauge('slot_pin', '1 for what the slot’s PIN is worth', ['slot', 'state'], () =>
    each(({ name, pin }) => oneOf(name, ['accepted', 'refused', 'unknown'], pin)),
  );
  gauge('slot_crash_loop', '1 while the slot’s workers end again and again', ['slot'], () =>
    each(({ name, crashLoop }) => flag(name, crashLoop)),
  );
  gauge('slot_info', 'The token of the slot and its master key', slotInfoLabels, () =>
    each((slot) => (slot.token === undefined ? [] : [[slotInfo(slot, slot.token), 1]])),
  );
  gauge('session_threads', 'Session threads', ['slot'], () => each(({ name, threads }) => one(name, threads?.total)));
  gauge('session_threads_busy', 'Session threads inside a call', ['slot'], () =>
    each(({ name, threads }) => one(name, threads?.busy)),
  );
  gauge('requests_held', 'Requests held, with outcomes not acknowledged yet', ['slot'], () =>
    each(({ name, held }) => one(name, held)),
  );
  gauge('api_reached', '1 while the worker reaches the signing API', ['slot'], () =>
    each(({ name, api }) => flag(name, api === 'none' ? undefined : api && api === 'reached')),
  );
  gauge('database_answers', '1 while the driver database answers the worker', ['slot'], () =>
    each(({ name, database }) => flag(name, database && database === 'answers')),
  );
  gauge('clock_ahead_seconds', 'How far this machine’s clock is ahead of the driver database’s', ['slot'], () =>
    each(({ name, policy }) => one(name, policy && policy.clockAheadMs / 1_000)),
  );
}

const slotInfoLabels = [
  'slot',
  'token',
  'serial',
  'manufacturer',
  'model',
  'firmware',
  'master_key',
  'fingerprint',
  'fingerprint_method',
] as const;

/** Member by member: one more label than its family has would fail the whole scrape. */
function slotInfo(slot: SlotStatus, token: NonNullable<SlotStatus['token']>): Record<string, string> {
  const { label, serial, manufacturer, model, firmware } = token;
  return {
    slot: slot.name,
    token: label,
    serial,
    manufacturer,
    model,
    firmware,
    master_key: slot.masterKeyId ?? '',
    fingerprint: slot.fingerprint?.value ?? '',
    fingerprint_method: slot.fingerprint?.method ?? '',
  };
}
