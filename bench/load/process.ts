import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { serve } from '../child/serve.ts';
import { quantile } from '../measure/summary.ts';
import { type Application, openApplication } from './application.ts';
import type { LoadCalls, LoadKeys, LoadRequest, LoadResult, LoadRun } from './calls.ts';
import { askedUserActions, type MakeUserAction, ownUserActions } from './user-actions.ts';

/** The load generator: applications that sign or make keys, in a process of their own. */
interface Open {
  readonly application: Application;
  readonly ask: MakeUserAction;
  readonly own: MakeUserAction;
}
interface Ready {
  readonly path: string;
  readonly body: string;
  readonly userAction?: string | undefined;
}

let open: Open | undefined;
let ready: Ready[] = [];
let nextKey = 0;

function opened(): Open {
  if (open === undefined) throw new Error('the load generator was not opened');
  return open;
}

function newRequest(request: LoadRequest): { path: string; body: string } {
  switch (request.kind) {
    case 'sign': {
      const { curve, ids } = request.keys;
      const random = `0x${randomBytes(32).toString('hex')}`;
      const what = curve === 'secp256k1' ? { kind: 'Hash', hash: random } : { kind: 'Message', message: random };
      return { path: `/keys/${ids[nextKey++ % ids.length]}/signatures`, body: JSON.stringify(what) };
    }
    case 'generate': {
      const { curve } = request;
      return { path: '/keys', body: JSON.stringify({ scheme: curve === 'ed25519' ? 'EdDSA' : 'ECDSA', curve }) };
    }
    default:
      return request satisfies never;
  }
}

async function prepare(request: LoadRequest, count: number): Promise<void> {
  const { own } = opened();
  ready = [];
  for (let made = 0; made < count; made += 1) {
    const { path, body } = newRequest(request);
    ready.push({ path, body, userAction: await own(path, body) });
  }
}

/** What a good answer holds. */
const proof = { sign: '"status":"Signed"', generate: '"publicKey":"' } as const;

async function run({ pace, ms, userActions, request }: LoadRun): Promise<LoadResult> {
  const { application, ask } = opened();
  const latencies: number[] = [];
  let failed = 0;
  let failure: string | undefined;
  const began = performance.now();

  async function once(): Promise<void> {
    const called = performance.now();
    const { path, body, userAction }: Ready = userActions ? newRequest(request) : (ready.pop() as Ready);
    try {
      const token = userAction ?? (await ask(path, body));
      const { text } = await application.post(path, body, token);
      if (!text.includes(proof[request.kind])) throw new Error(text.slice(0, 300));
      latencies.push(performance.now() - called);
    } catch (error) {
      failed += 1;
      failure ??= (error as Error).message;
    }
  }
  const more = (): boolean => performance.now() - began < ms && (userActions || ready.length > 0) && failed < 100;

  if ('inFlight' in pace) {
    const loop = async (): Promise<void> => {
      while (more()) await once();
    };
    await Promise.all(Array.from({ length: pace.inFlight }, loop));
  } else {
    const onTheirWay: Promise<void>[] = [];
    while (more()) {
      const due = ((performance.now() - began) / 1_000) * pace.perSecond;
      while (onTheirWay.length < due && more()) onTheirWay.push(once());
      await sleep(1);
    }
    await Promise.all(onTheirWay);
  }
  const seconds = (performance.now() - began) / 1_000;
  latencies.sort((a, b) => a - b);
  return {
    done: latencies.length,
    perSecond: latencies.length / seconds,
    failed,
    ...(failure === undefined ? {} : { failure }),
    p50Ms: latencies.length === 0 ? Number.NaN : quantile(latencies, 0.5),
    p99Ms: latencies.length === 0 ? Number.NaN : quantile(latencies, 0.99),
  };
}

/** In flight while keys are made for the runs to come. */
const makersInFlight = 48;

async function createKeys(curve: LoadKeys['curve'], count: number): Promise<LoadKeys> {
  const { application, own } = opened();
  const ids: string[] = [];
  let begun = 0;
  const loop = async (): Promise<void> => {
    while (begun < count) {
      begun += 1;
      const { path, body } = newRequest({ kind: 'generate', curve });
      const { status, text } = await application.post(path, body, await own(path, body));
      const { id } = JSON.parse(text) as { id?: string };
      if (id === undefined) throw new Error(`no key: ${status} ${text.slice(0, 300)}`);
      ids.push(id);
    }
  };
  await Promise.all(Array.from({ length: Math.min(makersInFlight, count) }, loop));
  return { curve, ids };
}

serve<LoadCalls>({
  open({ client, userActionSecretFile, connections }) {
    const application = openApplication(client, connections);
    open = {
      application,
      ask: askedUserActions(client, application),
      own: ownUserActions(client, userActionSecretFile),
    };
    return null;
  },
  createKeys: ({ curve, count }) => createKeys(curve, count),
  async prepare({ request, count }) {
    await prepare(request, count);
    return null;
  },
  run,
});
