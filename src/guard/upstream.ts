import { readFileSync } from 'node:fs';
import type { IncomingHttpHeaders } from 'node:http';
import { Agent, request } from 'undici';
import { CodedError } from '../shared/errors.ts';

export interface UpstreamAnswer {
  readonly status: number;
  readonly body: Buffer;
  readonly retryAfter: string | undefined;
}

/** The signing API as the guard reaches it: HTTPS only, no redirects, and of the client’s headers those that it knows. */
export interface Upstream {
  /** @throws GUARD_UPSTREAM_LOST */
  post(path: string, headers: IncomingHttpHeaders, body: Buffer): Promise<UpstreamAnswer>;
  close(): Promise<void>;
}

const passedOn = ['authorization', 'user-agent', 'x-dfns-sdk-version', 'x-dfns-appid', 'x-dfns-nonce'];
const answerLimitMs = 30_000;
const largestAnswer = 1_000_000;

/** @throws OPTION_INVALID for an address that is not https, or a CA file that cannot be read */
export function openUpstream(address: string, caFile: string | undefined): Upstream {
  const origin = originOf(address);
  const agent = new Agent({
    connect: caFile === undefined ? {} : { ca: readCa(caFile) },
    headersTimeout: answerLimitMs,
    bodyTimeout: answerLimitMs,
    maxResponseSize: largestAnswer,
  });
  return {
    async post(path, headers, body) {
      const known = passedOn.flatMap((name) => (headers[name] === undefined ? [] : [[name, String(headers[name])]]));
      try {
        const answer = await request(`${origin}${path}`, {
          dispatcher: agent,
          method: 'POST',
          headers: { ...Object.fromEntries(known), 'content-type': 'application/json' },
          body,
        });
        const retryAfter = answer.headers['retry-after'];
        return {
          status: answer.statusCode,
          body: Buffer.from(await answer.body.arrayBuffer()),
          retryAfter: typeof retryAfter === 'string' ? retryAfter : undefined,
        };
      } catch (cause) {
        throw new CodedError('GUARD_UPSTREAM_LOST', `${origin} (${(cause as Error).message})`, { cause });
      }
    },
    close: () => agent.close(),
  };
}

function originOf(address: string): string {
  const url = URL.canParse(address) ? new URL(address) : undefined;
  if (url?.protocol !== 'https:') throw new CodedError('OPTION_INVALID', '--api must be an https:// address');
  return url.origin;
}

function readCa(file: string): Buffer {
  try {
    return readFileSync(file);
  } catch (cause) {
    throw new CodedError('OPTION_INVALID', `--ca-file ${file} cannot be read`, { cause });
  }
}
