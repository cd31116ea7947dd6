import { z } from 'zod';
import { challengeCovers, challengeExpiry, challengeTtlMs } from '../shared/user-action/challenge.ts';
import { challengeOf } from '../shared/user-action/client-data.ts';

/** What a client asks a challenge for: POST /auth/action/init. */
const asked = z.object({
  userActionPayload: z.string(),
  userActionHttpMethod: z.string(),
  userActionHttpPath: z.string(),
});
const given = z.object({ challenge: z.string() });
const signed = z.object({
  firstFactor: z.object({ credentialAssertion: z.object({ clientData: z.string() }) }),
});

/** How far the API’s clock may be ahead of this machine’s. */
const clockToleranceMs = 60_000;

export type Verdict =
  | { readonly passes: true; readonly challenge: string }
  | { readonly passes: false; readonly why: string };

/**
 * Is the challenge that came back made for exactly what the client is about to send, and not for later? The client's
 * credential will sign it, whatever it is. Pure.
 */
export function challengeVerdict(request: unknown, answer: unknown, nowMs: number): Verdict {
  const wanted = asked.safeParse(request);
  if (!wanted.success) return refused('the client did not say what it is about to send');
  const came = given.safeParse(answer);
  if (!came.success) return refused('the answer holds no challenge');
  const { challenge } = came.data;
  const { userActionHttpMethod: method, userActionHttpPath: path, userActionPayload: payload } = wanted.data;
  if (!challengeCovers(challenge, { method, path, payload }))
    return refused(`the challenge is not for this ${method} ${path} and its payload`);
  if ((challengeExpiry(challenge) ?? 0) > nowMs + challengeTtlMs + clockToleranceMs)
    return refused('the challenge is good for longer than challenges are');
  return { passes: true, challenge };
}

/** The challenge in a signed user action: POST /auth/action; `undefined` for anything else. */
export function signedChallenge(request: unknown): string | undefined {
  const { success, data } = signed.safeParse(request);
  return success ? challengeOf(Buffer.from(data.firstFactor.credentialAssertion.clientData, 'base64url')) : undefined;
}

function refused(why: string): Verdict {
  return { passes: false, why };
}
