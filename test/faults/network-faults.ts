import { setTimeout as sleep } from 'node:timers/promises';
import type { SignedRequest } from '../support/load.ts';
import type { Answer } from '../support/signing-application.ts';
import type { TcpProxy } from '../support/tcp-proxy.ts';
import { until } from '../support/until.ts';
import { type Fault, loops, type Seen } from './fault.ts';
import { type FaultSystem, nodeTag } from './fault-system.ts';
import { moments } from './moments.ts';
import { openMoreApis } from './more-apis.ts';

/** What happens between the parts, and to the databases. */
const reachedAgain = ['ready', 'ready (API lost)', 'ready (database lost)', 'ready (API lost, database lost)'];
const down = ['suspect', 'recovering', 'starting', 'probing'];

/** Each time something else is on it. */
async function cutAgainAndAgain(wire: TcpProxy): Promise<void> {
  for (let time = 0; time < 10; time++) {
    wire.cut();
    await sleep(300);
  }
}

const lostLeaseAnswer: Fault = {
  name: 'lost lease answers (10 times)',
  async inject({ wires }) {
    for (let time = 0; time < 10; time++) {
      // What the API answers from here on never arrives.
      wires.api[1]?.freeze();
      await sleep(200);
      wires.api[1]?.cut();
      wires.api[1]?.thaw();
      await sleep(300);
    }
  },
  expect: { during: reachedAgain },
};

const blackHole: Fault = {
  name: 'API black hole (packets vanish)',
  inject: ({ wires }) => wires.api[1]?.freeze(),
  heal({ wires }) {
    wires.api[1]?.cut();
    wires.api[1]?.thaw();
  },
  expect: { during: ['ready (API lost)'] },
  lastsMs: 4_000,
};

/**
 * The longest that such a host can hold requests: it has them all, so that no new one ends the call that it has open, and
 * that call shows it as present until its time is over.
 */
const blackHoleHoldsAll: Fault = {
  ...blackHole,
  name: 'API black hole for a node that holds every request',
  async inject(system) {
    system.control.set([{ action: 'latency', ms: 500, on: ['C_Sign'], tag: nodeTag(1) }]);
    await until('node 1 holds every request', async () => {
      const [held] = await system.query<{ most: number }>(
        'api',
        `select count(*)::int as most from request join driver_instance i on i.id = request.instance
         where request.state = 'leased' and i.node = 'node-1'`,
      );
      return held?.most === loops;
    });
    await blackHole.inject(system);
    system.control.clear();
  },
};

const threeApis: Fault = (() => {
  let more: Awaited<ReturnType<typeof openMoreApis>> | undefined;
  return {
    name: 'three API processes, one killed after insert, after lease, after outcome, after commit',
    async prepare(system: FaultSystem) {
      more = await openMoreApis(system, 2);
    },
    baseUrl: () => more?.baseUrl ?? '',
    inject: () => more?.killAt(moments),
    tidy: () => more?.close(),
    expect: { during: reachedAgain, retryOnce: true as const },
    hitsBoth: true as const,
  };
})();

/** Longer than a request lives and longer than the API’s patience with absent HSMs, both made short for this row. */
const [holdMs, signTtlMs, outageMs] = [3_000, 6_000, 16_000];

const bothDown: Fault = {
  name: `both HSMs gone for ${outageMs / 1_000} s, longer than a request may live`,
  async prepare(system: FaultSystem) {
    await system.rewriteApi((file) => ({ ...file, holdMs, signTtlMs }));
    await system.restartApi('SIGTERM');
  },
  inject: ({ control }) => control.set([{ action: 'vanish', what: 'token' }]),
  heal: ({ control }) => control.clear(),
  async tidy(system: FaultSystem) {
    system.restoreApi();
    await system.restartApi('SIGTERM');
  },
  expect: {
    during: down,
    staysDown: true,
    mayAnswer: (answer) => isExpired(answer) || isRefused(answer),
  },
  lastsMs: outageMs,
  hitsBoth: true,
  check: nothingOldIsSigned,
};

const isExpired = (answer: Answer | undefined) => answer?.is === 'failed' && /expired|in time/i.test(answer.reason);
const isRefused = (answer: Answer | undefined) => answer?.is === 'refused' && answer.status === 503;

/** What was refused left nothing behind; what expired stays so, and no driver signed it afterwards. */
async function nothingOldIsSigned(system: FaultSystem, { history, load }: Seen): Promise<string[]> {
  const problems: string[] = [];
  const last = (one: SignedRequest) => one.answers.at(-1);
  const refused = history.filter((one) => isRefused(last(one)));
  const expired = history.filter((one) => isExpired(last(one)));
  if (refused.length === 0) problems.push('no request was refused with 503');
  if (expired.length === 0) problems.push('no request expired');
  const stored = await system.query<{ external_id: string }>(
    'api',
    'select external_id from request where external_id = any($1)',
    [refused.map(({ externalId }) => externalId)],
  );
  for (const { external_id } of stored) problems.push(`request ${external_id} was refused and is stored`);
  for (const one of expired) {
    const before = last(one);
    if (before?.is !== 'failed') continue;
    const now = await load.look(one.key, before.id);
    if (now.is !== 'failed') problems.push(`request ${one.externalId} had expired and is ${now.is} now`);
  }
  const ids = expired.map(last).flatMap((answer) => (answer?.is === 'failed' ? [answer.id] : []));
  const signed = await system.query<{ request_id: string }>(
    'driver',
    'select request_id from journal where request_id = any($1)',
    [ids],
  );
  for (const { request_id } of signed) problems.push(`request ${request_id} had expired and a driver signed it`);
  return problems;
}

export const networkFaults: readonly Fault[] = [
  {
    name: 'database restart',
    inject: (system) => system.restartDatabase(),
    expect: { during: [...reachedAgain, ...down], retryOnce: true },
    hitsBoth: true,
  },
  {
    name: 'connections to the driver database cut (10 times)',
    inject: ({ wires }) => cutAgainAndAgain(wires.driverDatabase),
    expect: { during: [...reachedAgain, ...down] },
  },
  {
    name: 'connections to the API’s database cut (10 times)',
    inject: ({ wires }) => cutAgainAndAgain(wires.apiDatabase),
    expect: { during: reachedAgain, retryOnce: true },
    hitsBoth: true,
  },
  {
    name: 'driver database black hole',
    inject: ({ wires }) => wires.driverDatabase.freeze(),
    heal({ wires }) {
      wires.driverDatabase.cut();
      wires.driverDatabase.thaw();
    },
    // The patience of a query.
    expect: { during: ['ready', 'ready (database lost)', ...down], deadlineMs: 5_000 },
    lastsMs: 6_000,
  },
  {
    name: 'API’s database black hole',
    inject: ({ wires }) => wires.apiDatabase.freeze(),
    heal({ wires }) {
      wires.apiDatabase.cut();
      wires.apiDatabase.thaw();
    },
    // Calls are refused together once the API’s patience is over, and made again.
    expect: { during: [...reachedAgain, ...down], retryOnce: true, deadlineMs: 5_000 },
    lastsMs: 6_000,
    hitsBoth: true,
  },
  blackHole,
  blackHoleHoldsAll,
  lostLeaseAnswer,
  threeApis,
  bothDown,
];
