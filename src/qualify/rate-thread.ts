import { randomBytes } from 'node:crypto';
import { parentPort, workerData } from 'node:worker_threads';
import type { Curve } from '../shared/keys.ts';
import { type Handle, loadModule } from '../worker/hsm/module.ts';
import { sessionWith } from '../worker/hsm/session.ts';
import type { RateAnswer, RateKind, RateQuestion, RateThreadData } from './rate-protocol.ts';

/**
 * Entry of a worker_thread that does one thing as fast as it can on a session of its own. The process is logged in
 * already, and the throw-away key is there: a session object is seen by every session of its process.
 */
if (parentPort === null) throw new Error('rate-thread runs as a worker_thread only');
serve(parentPort, workerData as RateThreadData);

function serve(port: NonNullable<typeof parentPort>, { module, slot, masterKey, method }: RateThreadData): void {
  const answering = (work: () => RateAnswer): void => {
    let answer: RateAnswer;
    try {
      answer = work();
    } catch (error) {
      answer = { failed: (error as Error).message };
    }
    port.postMessage(answer);
  };
  answering(() => {
    const cryptoki = loadModule(module);
    cryptoki.initialize();
    const handle = cryptoki.openSession(Buffer.from(slot));
    const key = Buffer.from(masterKey);
    const session = sessionWith(cryptoki, handle, { masterKey: key, integrityKey: key, wrapMethod: method });
    const ready = new Map<Curve, { readonly blob: Buffer; readonly kept: Handle }>();
    const prepared = (curve: Curve) => {
      const before = ready.get(curve);
      if (before !== undefined) return before;
      const blob = session.withNewKey(curve, (privateKey) => session.wrap(privateKey));
      const made = { blob, kept: session.unwrap(curve, blob) };
      ready.set(curve, made);
      return made;
    };
    const digest = randomBytes(32);
    const workOf = (curve: Curve, kind: RateKind): (() => unknown) => {
      const { blob, kept } = prepared(curve);
      switch (kind) {
        case 'generateAndWrap':
          return () => session.withNewKey(curve, (privateKey) => session.wrap(privateKey));
        case 'unwrapSignDestroy':
          return () => session.withUnwrapped(curve, blob, (privateKey) => session.sign(curve, privateKey, digest));
        case 'signKept':
          return () => session.sign(curve, kept, digest);
        default:
          return kind satisfies never;
      }
    };
    port.on('message', (question: RateQuestion | 'close') => {
      if (question === 'close') {
        session.close(); // and with it what it unwrapped
        port.close();
        return;
      }
      answering(() => {
        const work = workOf(question.curve, question.kind);
        const began = performance.now();
        let count = 0;
        do {
          work();
          count += 1;
        } while (performance.now() - began < question.forMs);
        return { count, ms: performance.now() - began };
      });
    });
    return { count: 0, ms: 0 };
  });
}
