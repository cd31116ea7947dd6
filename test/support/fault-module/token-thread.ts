import { parentPort, workerData } from 'node:worker_threads';
import { Pkcs11Fault } from '../../../src/worker/hsm/fault.ts';
import { createTokenUser } from './token-user.ts';

/** One of the threads of token-child.ts: ready with a session and a key, then signs and says what each call answered. */
const { module, tokenLabel } = workerData as { module: string; tokenLabel: string };
const user = createTokenUser(module, tokenLabel);
user.load();
user.initialize();
user.open();
user.makeKeys();

function codeOfSign(): number {
  try {
    user.sign();
    return 0;
  } catch (error) {
    return error instanceof Pkcs11Fault ? error.code : -1;
  }
}

parentPort?.once('message', (calls: number) => {
  parentPort?.postMessage(Array.from({ length: calls }, codeOfSign));
});
parentPort?.postMessage('ready');
