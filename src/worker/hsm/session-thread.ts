import { parentPort, workerData } from 'node:worker_threads';
import { headDigest, type NamedHead } from '../../shared/audit/head.ts';
import type { Order } from '../../shared/orders/order.ts';
import { inForceDigest } from '../../shared/orders/order-in-force.ts';
import { createCallClock } from './call-clock.ts';
import { codedError } from './failure.ts';
import { generateKey } from './generate-key.ts';
import { inspectKey } from './inspect-key.ts';
import { markKey } from './mark-key.ts';
import { type Cryptoki, loadModule } from './module.ts';
import { proveAtWork, proveSlot } from './probe.ts';
import { retagKey, rewrapKey } from './rewrap.ts';
import { signWithKey } from './sign.ts';
import { tagHolds } from './tag.ts';
import {
  fromWire,
  loadedMessage,
  type ThreadAnswer,
  type ThreadCall,
  type ThreadData,
  type WireTag,
  withBuffers,
} from './thread-protocol.ts';
import { selectToken } from './token.ts';
import { openWorkbench, type StartUpBlob, type Workbench } from './workbench.ts';

/**
 * Entry of a worker_thread that owns one PKCS#11 session: one loop over messages, synchronous calls only. It imports as
 * little as it can, because every session costs its memory. It never ends the process and never logs: what it finds it
 * answers.
 */

if (parentPort === null) throw new Error('session-thread runs as a worker_thread only');
const port = parentPort;
const { slot, ring, purpose, guard, calls, index } = workerData as ThreadData;

const clock = createCallClock(calls, index, slot.measureCpu);

let library: Cryptoki | undefined;
let bench: Workbench | undefined;
let startUpBlob: StartUpBlob | undefined;

function work(call: ThreadCall): unknown {
  switch (call.name) {
    case 'select': {
      loaded().initialize();
      return selectToken(loaded(), { label: slot.tokenLabel, serial: slot.tokenSerial }).info;
    }
    case 'open': {
      bench = openWorkbench(loaded(), { slot, ring, purpose, guard });
      return { token: bench.token.info, countLow: bench.countLow };
    }
    case 'prove':
      return proveSlot(opened());
    case 'arm':
      startUpBlob = call.ask.startUpBlob;
      return opened().arm(call.ask);
    case 'generate':
      return call.ask.map((job) => opened().attempt(() => generateKey(opened(), job)));
    case 'sign':
      return call.ask.map(({ requests, blob, ...key }) =>
        signWithKey(
          opened(),
          { ...key, blob: fromWire(blob) },
          requests.map((digests) => digests.map(fromWire)),
        ),
      );
    case 'check-tags':
      return call.ask.map((one) => opened().attempt(() => wireTagHolds(opened(), one)));
    case 'rewrap':
      return call.ask.map((row) => opened().attempt(() => rewrapKey(opened(), withBuffers(row))));
    case 'retag':
      return call.ask.map((row) => opened().attempt(() => retagKey(opened(), withBuffers(row))));
    case 'sign-head':
      return opened().attempt(() => signHead(opened(), call.ask));
    case 'attest-order':
      return opened().attempt(() => attestOrder(opened(), call.ask));
    case 'close-keys':
      return opened().closeKeys();
    case 'inspect':
      return call.ask.map(({ row, attributes }) =>
        opened().attempt(() => inspectKey(opened(), { row: withBuffers(row), attributes })),
      );
    case 'mark':
      return call.ask.map(({ row, status }) =>
        opened().attempt(() => markKey(opened(), { row: withBuffers(row), status })),
      );
    case 'probe':
      return opened().attempt(() => proveAtWork(opened(), armed()));
    case 'close':
      return bench?.close();
    default:
      return call satisfies never;
  }
}

function loaded(): Cryptoki {
  library ??= loadModule(slot.module, clock);
  return library;
}

function opened(): Workbench {
  if (bench === undefined) throw new Error('the session thread was not opened');
  return bench;
}

function armed(): StartUpBlob {
  if (startUpBlob === undefined) throw new Error('the session thread was not armed');
  return startUpBlob;
}

function wireTagHolds(bench: Workbench, { integrityKeyId, message, tag }: WireTag): boolean {
  return tagHolds(bench, integrityKeyId, fromWire(message), fromWire(tag));
}

function signHead(bench: Workbench, head: Omit<NamedHead, 'keyStore'>): string {
  return bench.attest(headDigest({ keyStore: bench.ring.keyStore, ...head })).toString('base64url');
}

/** Whether the order is good was found out before; the thread knows neither operators nor the time. */
function attestOrder(bench: Workbench, order: Order): string {
  return bench.attest(inForceDigest(bench.ring.keyStore, order)).toString('base64url');
}

port.on('message', (call: ThreadCall) => {
  let answer: ThreadAnswer;
  try {
    answer = { id: call.id, ok: true, value: work(call) };
  } catch (error) {
    const { code, detail } = codedError(error);
    answer = { id: call.id, ok: false, code, detail };
  }
  port.postMessage(answer);
  if (call.name === 'close') port.close(); // nothing keeps the thread alive any longer
});
port.postMessage(loadedMessage);
