import { existsSync } from 'node:fs';
import { type Child, startChild } from '../ceremony/child.ts';
import type { PinRecord } from '../ceremony/log-in-once.ts';
import { type CeremonyFile, readCeremonyFile } from '../shared/ceremony-file.ts';
import type { CeremonyConfiguration } from '../shared/configuration/ceremony.ts';
import type { DriverConfiguration } from '../shared/configuration/driver.ts';
import type { TokenConfiguration } from '../shared/configuration/sections.ts';
import { asCodedError, CodedError } from '../shared/errors.ts';
import type { Curve } from '../shared/keys.ts';
import type { MadeBlob, QualifyCalls } from './calls.ts';
import type { Identity, Portability, Report, SlotReport } from './report.ts';
import { bestMethod, judge } from './verdict.ts';

/**
 * `hsm-driver qualify`: finds out what each slot of a configuration can do and what it is worth. This process coordinates
 * and never loads a module. Slots come one after another, so that their rates do not disturb each other; their processes
 * stay until the end, for the cross-canary.
 */
export interface QualifyOptions {
  readonly configuration: DriverConfiguration | CeremonyConfiguration;
  /** Only this slot. */
  readonly slot?: string | undefined;
  /** Whether rates are measured: it takes some seconds, in which the HSM has much to do. */
  readonly rates: boolean;
  /** Told what is being done, for people who wait. */
  readonly say: (line: string) => void;
}

const wantedThreads = [1, 4, 16] as const;

interface Qualified {
  readonly slot: TokenConfiguration;
  readonly child: Child<QualifyCalls>;
  readonly report: SlotReport;
}

/** @throws what opening a slot throws: a PIN that is refused ends it, and no other slot is touched after that. */
export async function qualify({ configuration, slot, rates, say }: QualifyOptions): Promise<Report> {
  const all: readonly TokenConfiguration[] =
    configuration.kind === 'driver' ? configuration.slots : configuration.tokens;
  const slots = all.filter(({ name }) => slot === undefined || name === slot);
  if (slots.length === 0) {
    const names = all.map(({ name }) => name).join(', ');
    throw new CodedError(
      'CONFIG_INVALID',
      slot === undefined
        ? 'the configuration has no signing tokens'
        : `there is no slot ${slot}; the configuration has ${names}`,
    );
  }
  const { ceremonyFile, stateDirectory, database } = configuration;
  const node = configuration.kind === 'driver' ? configuration.node : 'qualify';
  const record = { stateDirectory, database, node };
  const ceremony =
    existsSync(ceremonyFile) || configuration.kind === 'driver' ? readCeremonyFile(ceremonyFile) : undefined;
  const children: Child<QualifyCalls>[] = [];
  try {
    const qualified: Qualified[] = [];
    for (const one of slots) {
      const sayOfSlot = (line: string): void => say(`${one.name}: ${line}`);
      qualified.push(await qualifySlot(one, record, ceremony, children, rates, sayOfSlot));
    }
    return {
      at: new Date().toISOString(),
      keyStore: configuration.keyStore,
      slots: qualified.map(({ report }) => report),
      portability: await crossCanaries(qualified),
    };
  } finally {
    await Promise.all(children.map((child) => child.stop()));
  }
}

async function qualifySlot(
  slot: TokenConfiguration,
  record: PinRecord,
  ceremony: CeremonyFile | undefined,
  children: Child<QualifyCalls>[],
  withRates: boolean,
  say: (line: string) => void,
): Promise<Qualified> {
  const start = (): Child<QualifyCalls> => {
    const child = startChild<QualifyCalls>('../qualify/token-process', `slot ${slot.name}`, slot.environment);
    children.push(child);
    return child;
  };
  say('library and token');
  // The first process pays for caches that are cold; the second shows what a replaced worker would need.
  const first = start();
  const facts = await first.ask('open', { slot, record });
  await first.stop();
  const began = performance.now();
  const child = start();
  await child.ask('open', { slot, record });
  await child.ask('first-signature', undefined);
  const reconnectMs = Math.round(performance.now() - began);

  say('curves and wrap mechanisms, each by a round trip');
  const wraps = await child.ask('wraps', undefined);
  const sessions = await child.ask('sessions', undefined);
  const best = bestMethod(wraps);
  let attacks: SlotReport['attacks'];
  let rates: SlotReport['rates'] = [];
  if (best !== undefined) {
    const { method, curves } = best;
    say('attacks on a throw-away key');
    attacks = await child.ask('attacks', { method, curves });
    if (withRates) {
      say('rates');
      const threadCounts = wantedThreads.filter((count) => count < sessions.opened);
      const working = attacks.underTemplate.filter(({ works }) => works).map(({ curve }) => curve);
      rates = await child.ask('rates', { method, curves: working, threadCounts });
    }
  }
  const identity = await identify(child, ceremony);
  const verdict = judge(wraps, attacks);
  const common = { name: slot.name, module: slot.module, ...facts, wraps, sessions, reconnectMs, rates };
  const report = {
    ...common,
    ...(best === undefined ? {} : { method: best.method }),
    ...(attacks === undefined ? {} : { attacks }),
    identity,
    verdict,
  };
  return { slot, child, report };
}

async function identify(child: Child<QualifyCalls>, ceremony: CeremonyFile | undefined): Promise<Identity> {
  if (ceremony === undefined) return { state: 'not checked', why: 'there is no ceremony file yet' };
  const masterKeyId = ceremony.masterKey.id;
  try {
    return { state: 'proven', masterKeyId, curves: await child.ask('identity', ceremony) };
  } catch (error) {
    const { code, detail } = asCodedError(error);
    return { state: 'not proven', masterKeyId, code, why: detail };
  }
}

/** Per curve and in both directions: only what was opened is called portable. */
async function crossCanaries(qualified: readonly Qualified[]): Promise<Portability[]> {
  const found: Portability[] = [];
  for (const from of qualified) {
    const others = qualified.filter((one) => one !== from && one.report.identity.state !== 'not checked');
    if (from.report.identity.state !== 'proven' || others.length === 0) continue;
    for (const curve of from.report.identity.curves) {
      const made = await from.child.ask('make', curve);
      for (const to of others) {
        const why = await obstacle(to, made);
        const pair = { from: from.report.name, to: to.report.name, curve };
        found.push(why === undefined ? { ...pair, portable: true } : { ...pair, portable: false, why });
      }
    }
  }
  return found;
}

/** Why a slot does not open a key; undefined when it does, and signs. */
async function obstacle({ child, report: { name, identity } }: Qualified, made: MadeBlob): Promise<string | undefined> {
  if (identity.state !== 'proven') return `${name} does not hold the key store’s keys`;
  if (!identity.curves.includes(made.curve)) return `${name} cannot do ${made.curve}`;
  try {
    await child.ask('prove', made);
    return undefined;
  } catch (error) {
    return asCodedError(error).detail;
  }
}

/**
 * The error that a report amounts to, the gravest first; undefined when every slot is of tier A or B and holds the key
 * store's keys.
 */
export function reportError({ slots, portability }: Report): CodedError | undefined {
  for (const { name, identity } of slots) {
    if (identity.state === 'not proven') return new CodedError(identity.code, `slot ${name}: ${identity.why}`);
  }
  // A slot that cannot do a curve at all gets no such requests; one that can, and does not open the blob, is another matter.
  const can = (name: string, curve: Curve): boolean =>
    slots.some((one) => one.name === name && one.identity.state === 'proven' && one.identity.curves.includes(curve));
  const stuck = portability.filter(({ portable, to, curve }) => !portable && can(to, curve));
  if (stuck.length > 0) {
    const list = stuck.map(({ from, to, curve }) => `${curve} from ${from} to ${to}`);
    return new CodedError('MASTER_KEY_OTHER', `blobs are not portable: ${list.join(', ')}`);
  }
  const unfit = slots.filter(({ verdict }) => verdict.tier === 'unfit');
  if (unfit.length === 0) return undefined;
  return new CodedError(
    'HSM_UNFIT',
    unfit.map(({ name, verdict }) => `slot ${name}: ${verdict.reasons.join('; ')}`).join('. '),
  );
}
