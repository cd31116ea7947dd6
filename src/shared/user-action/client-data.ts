import { z } from 'zod';

/** What the caller's signer must find in the signed bytes; other members are its own. */
const clientData = z.object({ type: z.literal('key.get'), challenge: z.string() });

/** The challenge in the bytes that a credential signed for a user action; `undefined` for any other bytes. */
export function challengeOf(bytes: Buffer): string | undefined {
  const { success, data } = clientData.safeParse(jsonOf(bytes));
  return success ? data.challenge : undefined;
}

function jsonOf(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString('utf8'));
  } catch {
    return undefined;
  }
}
