import { createPrivateKey, sign } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { Agent, request as httpRequest } from 'undici';
import type { ClientFile } from '../../scripts/local/client.ts';

export interface LoadKey {
  readonly id: string;
  /** Hex: 33 bytes for secp256k1, 32 for ed25519. */
  readonly publicKey: string;
  readonly curve: 'secp256k1' | 'ed25519';
}

/** What came back from one try of one request. */
export type Answer =
  | { readonly is: 'signed'; readonly id: string; readonly rs: string }
  | { readonly is: 'failed'; readonly id: string; readonly reason: string }
  /** Not one of the API's final words: an error status, or no answer at all. */
  | { readonly is: 'refused'; readonly status: number; readonly reason: string };

export interface ApplicationOptions {
  readonly client: ClientFile;
  /** How much it does at a time. */
  readonly loops: number;
  /** Where another process of the API answers, or something between. */
  readonly baseUrl?: string;
}

/** Longer than the API holds a POST. */
const answerLimitMs = 40_000;
/** How long a signature request that is executing is asked for, and how often. */
const executingLimitMs = 60_000;
const executingPauseMs = 250;
const backLimitMs = 60_000;

/** One application, by the calls that the Dfns SDK makes. None of its calls throws: what goes wrong is an answer. */
export function openSigningApplication({ client, baseUrl = client.baseUrl, loops }: ApplicationOptions) {
  // What stands between gives out connections, not calls: each call has one of its own there.
  const reset = baseUrl !== client.baseUrl;
  const agent = new Agent({
    connect: { ca: readFileSync(client.caFile) },
    connections: loops + 2,
    headersTimeout: answerLimitMs,
    bodyTimeout: answerLimitMs,
  });
  const credential = createPrivateKey(client.privateKeyPem);

  async function call(method: 'GET' | 'POST', path: string, body?: string, userAction?: string): Promise<Reply> {
    const { statusCode, body: answer } = await httpRequest(`${baseUrl}${path}`, {
      dispatcher: agent,
      method,
      reset,
      headers: {
        authorization: `Bearer ${client.authToken}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...(userAction === undefined ? {} : { 'x-dfns-useraction': userAction }),
      },
      ...(body === undefined ? {} : { body }),
    });
    const value = (await answer.json()) as Reply['value'];
    if (statusCode >= 300) throw new Refusal(statusCode, String(value.message ?? 'no reason'));
    return { value };
  }

  /** What @dfns/sdk does before each call that changes something. */
  async function userAction(path: string, payload: string): Promise<string> {
    const asked = { userActionPayload: payload, userActionHttpMethod: 'POST', userActionHttpPath: path };
    const { value } = await call(
      'POST',
      '/auth/action/init',
      JSON.stringify({ ...asked, userActionServerKind: 'Api' }),
    );
    const clientData = Buffer.from(
      JSON.stringify({ type: 'key.get', challenge: value.challenge, origin: baseUrl, crossOrigin: false }),
    );
    const credentialAssertion = {
      credId: client.credentialId,
      clientData: clientData.toString('base64url'),
      signature: sign(null, clientData, credential).toString('base64url'),
    };
    const signed = await call(
      'POST',
      '/auth/action',
      JSON.stringify({
        challengeIdentifier: value.challengeIdentifier,
        firstFactor: { kind: 'Key', credentialAssertion },
      }),
    );
    return String(signed.value.userAction);
  }

  async function look(key: LoadKey, id: string): Promise<Answer> {
    return await answered(async () => {
      const { value } = await call('GET', `/keys/${key.id}/signatures/${id}`);
      return value;
    });
  }

  async function untilFinal(key: LoadKey, first: Answer): Promise<Answer> {
    const limit = performance.now() + executingLimitMs;
    let answer = first;
    while (answer.is === 'refused' && answer.status === 200 && performance.now() < limit) {
      await sleep(executingPauseMs);
      answer = await look(key, answer.reason);
    }
    return answer;
  }

  return {
    async sign(key: LoadKey, message: string, externalId: string): Promise<Answer> {
      const what =
        key.curve === 'secp256k1'
          ? { kind: 'Hash', hash: `0x${message}` }
          : { kind: 'Message', message: `0x${message}` };
      const path = `/keys/${key.id}/signatures`;
      const body = JSON.stringify({ ...what, externalId });
      const first = await answered(async () => {
        const { value } = await call('POST', path, body, await userAction(path, body));
        return value;
      });
      return await untilFinal(key, first);
    },
    look,
    /** The API accepts connections, and its database answers. */
    async isBack(key: LoadKey): Promise<void> {
      const { hostname, port } = new URL(baseUrl);
      const limit = performance.now() + backLimitMs;
      while (performance.now() < limit) {
        await sleep(100);
        if (!(await accepts(hostname, Number(port)))) continue;
        const status = await call('GET', `/keys/${key.id}`).then(
          () => 200,
          (error: unknown) => (error instanceof Refusal ? error.status : 0),
        );
        if (status === 200) return;
      }
    },
    close: () => agent.close(),
  };
}

interface Reply {
  readonly value: Record<string, unknown>;
}

class Refusal extends Error {
  readonly status: number;
  constructor(status: number, reason: string) {
    super(reason);
    this.status = status;
  }
}

interface SignatureReply {
  readonly id: string;
  readonly status: string;
  readonly reason?: string;
  readonly signature?: { readonly r: string; readonly s: string };
}

async function answered(ask: () => Promise<unknown>): Promise<Answer> {
  try {
    const { id, status, reason, signature } = (await ask()) as SignatureReply;
    if (status === 'Signed' && signature !== undefined)
      return { is: 'signed', id, rs: `${signature.r.slice(2)}${signature.s.slice(2)}` };
    if (status === 'Failed') return { is: 'failed', id, reason: reason ?? 'no reason given' };
    // Executing: whoever asked goes on asking under the id.
    return { is: 'refused', status: 200, reason: id };
  } catch (error) {
    if (error instanceof Refusal) return { is: 'refused', status: error.status, reason: error.message };
    return { is: 'refused', status: 0, reason: (error as NodeJS.ErrnoException).code ?? (error as Error).message };
  }
}

function accepts(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, host);
    const end = (is: boolean) => {
      socket.destroy();
      resolve(is);
    };
    socket.once('connect', () => end(true));
    socket.once('error', () => end(false));
  });
}
