import { createLog } from '../../src/shared/log.ts';
import { readClock } from '../../src/shared/orders/clock.ts';
import { type Admission, createAdmission } from '../../src/worker/policy/admission.ts';
import { serve } from '../child/serve.ts';
import type { AuthorisationCalls } from './calls.ts';
import { type AuthorisedRequests, makeRequests } from './requests.ts';

/** The driver's check of authorisations and nothing else: no HSM, no database, no wire. */
let prepared: AuthorisedRequests = { requests: [], credentials: { version: 1, size: 0, find: () => undefined } };
let admissions: Readonly<Record<'off' | 'enforce', Admission>> | undefined;

function admissionOf(mode: 'off' | 'enforce'): Admission {
  const policy = {
    credentials: prepared.credentials,
    frozen: [],
    clockAheadMs: 0,
    clockOffsetMs: readClock().offsetMs,
  };
  return createAdmission({
    keyStore: 'bench',
    rules: { mode, maxAgeMs: 86_400_000, primary: true, kinds: undefined },
    state: { current: async () => policy, known: policy },
    readClock,
    onDoubt: () => {},
    count: () => {},
    log: createLog('silent', {}),
  });
}

serve<AuthorisationCalls>({
  prepare({ count, ...kind }) {
    prepared = makeRequests(kind, count);
    admissions = { off: admissionOf('off'), enforce: admissionOf('enforce') };
    return null;
  },
  async check({ mode }) {
    const decisions = await admissions?.[mode].current();
    const before = process.cpuUsage();
    for (const { request, key } of prepared.requests) {
      const refused = decisions?.frozen(request) ?? (await decisions?.sign(request, key));
      if (refused !== undefined) throw new Error(JSON.stringify(refused));
    }
    const { user, system } = process.cpuUsage(before);
    return (user + system) / 1_000 / prepared.requests.length;
  },
});
