import { randomBytes } from 'node:crypto';
import { parentPort, workerData } from 'node:worker_threads';
import { readCeremonyFile } from '../../src/shared/ceremony-file.ts';
import { readSecretFile } from '../../src/shared/configuration/secret-file.ts';
import { wrapMechanismOn } from '../../src/shared/key-ring.ts';
import type { Curve } from '../../src/shared/keys.ts';
import { type Handle, loadModule } from '../../src/worker/hsm/module.ts';
import { createSession } from '../../src/worker/hsm/session.ts';
import { login, selectToken } from '../../src/worker/hsm/token.ts';
import type { RawCount, RawQuestion, RawThreadData } from './calls.ts';

/**
 * One thread of the raw loop: a session of its own on the token, the same binding and templates as the driver's, and
 * nothing else: no verification, no journal, no message but the question and its answer.
 */
if (parentPort === null) throw new Error('this runs as a worker_thread only');
const port = parentPort;
const { slot, ceremonyFile } = workerData as RawThreadData;

const ceremony = readCeremonyFile(ceremonyFile);
const cryptoki = loadModule(slot.module);
cryptoki.initialize();
const token = selectToken(cryptoki, { label: slot.tokenLabel, serial: slot.tokenSerial });
const handle = cryptoki.openSession(token.slot);
login(cryptoki, handle, token, readSecretFile(slot.pinFile, 'pinFile'));
const session = createSession(cryptoki, token, handle, ceremony);
session.useMechanism(wrapMechanismOn(ceremony, token.info.serial));

interface Prepared {
  readonly blobs: readonly Buffer[];
  readonly kept: readonly Handle[];
}

/** As many as the hot keys of the system's own measurement. */
const keysEach = 100;
const prepared = new Map<Curve, Prepared>();
const data = Array.from({ length: 64 }, () => randomBytes(32));

function prepare(curve: Curve): Prepared {
  const before = prepared.get(curve);
  if (before !== undefined) return before;
  const blobs = Array.from({ length: keysEach }, () => session.withNewKey(curve, (key) => session.wrap(key)));
  const made = { blobs, kept: blobs.map((blob) => session.unwrap(curve, blob)) };
  prepared.set(curve, made);
  return made;
}

function workOf({ curve, work }: RawQuestion): (at: number) => unknown {
  const { blobs, kept } = prepare(curve);
  const blob = (at: number) => blobs[at % keysEach] as Buffer;
  const datum = (at: number) => data[at % data.length] as Buffer;
  switch (work) {
    case 'strict':
      return (at) => session.withUnwrapped(curve, blob(at), (key) => session.sign(curve, key, datum(at)));
    case 'kept':
      return (at) => session.sign(curve, kept[at % keysEach] as Handle, datum(at));
    case 'generate':
      return () => session.withNewKey(curve, (key) => session.wrap(key));
    default:
      return work satisfies never;
  }
}

port.on('message', (question: RawQuestion) => {
  const work = workOf(question);
  const cpu = process.threadCpuUsage();
  const began = performance.now();
  let count = 0;
  do {
    work(count);
    count += 1;
  } while (performance.now() - began < question.ms);
  const ms = performance.now() - began;
  const { user, system } = process.threadCpuUsage(cpu);
  port.postMessage({ count, ms, cpuMs: (user + system) / 1_000 } satisfies RawCount);
});
port.postMessage('open');
