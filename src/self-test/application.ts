import { createPrivateKey, type KeyObject, sign } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { Agent, request } from 'undici';
import { CodedError } from '../shared/errors.ts';
import type { Client } from './client-file.ts';

/** An application of the signing API, as small as it gets: for whoever wants to see a signature without an SDK at hand. */
export interface Application {
  get(path: string): Promise<unknown>;
  /** A call that needs a user action: the credential signs method, path and body first. */
  post(path: string, body: unknown): Promise<unknown>;
  close(): Promise<void>;
}

/** Longer than a POST is held. */
const answerTimeoutMs = 150_000;

/** @throws CONFIG_INVALID for a key or CA that cannot be read. */
export function openApplication(client: Client): Application {
  const agent = new Agent({
    headersTimeout: answerTimeoutMs,
    bodyTimeout: answerTimeoutMs,
    ...(client.caFile === undefined ? {} : { connect: { ca: readCa(client.caFile) } }),
  });
  const privateKey = readKey(client.privateKeyPem);

  async function call(method: 'GET' | 'POST', path: string, body?: string, userAction?: string): Promise<unknown> {
    const { status, text } = await send(method, path, body, userAction);
    if (status !== 200) throw new CodedError('SELF_TEST_FAILED', `${method} ${path} was answered ${status}: ${text}`);
    return JSON.parse(text);
  }

  async function send(method: 'GET' | 'POST', path: string, body: string | undefined, userAction: string | undefined) {
    try {
      const answer = await request(new URL(path, client.baseUrl), {
        method,
        dispatcher: agent,
        headers: {
          authorization: `Bearer ${client.authToken}`,
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
          ...(userAction === undefined ? {} : { 'x-dfns-useraction': userAction }),
        },
        ...(body === undefined ? {} : { body }),
      });
      return { status: answer.statusCode, text: await answer.body.text() };
    } catch (cause) {
      const why = (cause as NodeJS.ErrnoException).code ?? (cause as Error).message;
      throw new CodedError('SELF_TEST_FAILED', `${client.baseUrl} does not answer (${why})`, { cause });
    }
  }

  async function userAction(path: string, payload: string): Promise<string> {
    const started = (await call(
      'POST',
      '/auth/action/init',
      JSON.stringify({ userActionPayload: payload, userActionHttpMethod: 'POST', userActionHttpPath: path }),
    )) as { challenge: string; challengeIdentifier: string };
    const clientData = Buffer.from(JSON.stringify({ type: 'key.get', challenge: started.challenge }));
    const completed = (await call(
      'POST',
      '/auth/action',
      JSON.stringify({
        challengeIdentifier: started.challengeIdentifier,
        firstFactor: {
          kind: 'Key',
          credentialAssertion: {
            credId: client.credentialId,
            clientData: clientData.toString('base64url'),
            signature: sign(null, clientData, privateKey).toString('base64url'),
          },
        },
      }),
    )) as { userAction: string };
    return completed.userAction;
  }

  return {
    get: (path) => call('GET', path),
    async post(path, body) {
      const payload = JSON.stringify(body);
      return await call('POST', path, payload, await userAction(path, payload));
    },
    close: () => agent.close(),
  };
}

function readKey(pem: string): KeyObject {
  try {
    return createPrivateKey(pem);
  } catch (cause) {
    throw new CodedError('CONFIG_INVALID', 'privateKeyPem is not a private key', { cause });
  }
}

function readCa(file: string): Buffer {
  try {
    return readFileSync(file);
  } catch (cause) {
    const why = (cause as NodeJS.ErrnoException).code ?? 'unknown';
    throw new CodedError('CONFIG_INVALID', `caFile ${file} cannot be read (${why})`, { cause });
  }
}
