import { digestsToSign } from '../../shared/chains/index.ts';
import { type SignatureBody, type SignatureKind, signatureBody } from '../../shared/chains/signature-body.ts';
import type { LeasedSign } from '../../shared/driver-protocol.ts';
import { asCodedError } from '../../shared/errors.ts';
import type { WrappedKey } from '../wrapped-key.ts';
import { whyUnreadable } from './readable-text.ts';
import { isRefusal, type Refusal, refusal } from './refusal.ts';
import { jsonOf, walletFacts } from './wallet-statement.ts';

/** What a Sign request is for, by the payload that came with it. */
export interface SignContent {
  readonly body: SignatureBody;
  /** The wallet that the path names, if it names one. */
  readonly walletId?: string;
}

/**
 * Does the payload ask for exactly these digests from exactly this key, and may the key sign such a body? Whether
 * anybody with the right to it signed the payload is not said here (sign-authority.ts).
 * @param kinds what the key store signs; undefined: everything.
 */
export function signContent(
  request: LeasedSign,
  key: WrappedKey,
  kinds: ReadonlySet<SignatureKind> | undefined,
): SignContent | Refusal {
  const { authorisation } = request;
  if (authorisation === undefined) return refuse('the request carries no authorisation');
  const parsed = signatureBody.safeParse(jsonOf(authorisation.payload));
  if (!parsed.success) return refuse('its payload is not a signature request');
  const body = parsed.data;
  const target = targetOf(authorisation.method, authorisation.path);
  if (target === undefined) return refuse(`it is for ${authorisation.method} ${authorisation.path}`);
  const facts =
    target.of === 'key' ? { keyId: target.id } : walletFacts(request.organisation, target.id, authorisation.wallet);
  if (isRefusal(facts)) return facts;
  if (facts.keyId !== key.keyId) return refuse(`it is for key ${facts.keyId}, not ${key.keyId}`);
  const forbidden = forbiddenKind(body.kind, key, kinds);
  if (forbidden !== undefined) return forbidden;
  const problem = otherDigests(request, key, body, facts) ?? hashInDisguise(request, key, body, kinds);
  if (problem !== undefined) return problem;
  return { body, ...(target.of === 'wallet' ? { walletId: target.id } : {}) };
}

function targetOf(method: string, path: string): { of: 'key' | 'wallet'; id: string } | undefined {
  const [, of, id] = /^\/(key|wallet)s\/([A-Za-z0-9_-]{1,64})\/signatures$/.exec(path) ?? [];
  return method === 'POST' && id !== undefined && (of === 'key' || of === 'wallet') ? { of, id } : undefined;
}

function forbiddenKind(
  kind: SignatureKind,
  { keyId, allowedKinds }: WrappedKey,
  kinds: ReadonlySet<SignatureKind> | undefined,
): Refusal | undefined {
  if (kinds !== undefined && !kinds.has(kind)) return refusal('KIND_NOT_ALLOWED', `${kind}, by the key store’s policy`);
  if (allowedKinds.length > 0 && !allowedKinds.includes(kind))
    return refusal('KIND_NOT_ALLOWED', `${kind}, by key ${keyId}`);
  return undefined;
}

/** @param request whose digests are those of its body: of a Message with EdDSA, its bytes. */
function hashInDisguise(
  { digests }: LeasedSign,
  key: WrappedKey,
  { kind }: SignatureBody,
  kinds: ReadonlySet<SignatureKind> | undefined,
): Refusal | undefined {
  if (kind !== 'Message' || key.type.scheme !== 'EdDSA') return undefined;
  const forbidden = forbiddenKind('Hash', key, kinds);
  if (forbidden === undefined) return undefined;
  const why = digests.map((bytes) => whyUnreadable(Buffer.from(bytes, 'hex'))).find((one) => one !== undefined);
  if (why === undefined) return undefined;
  return refusal('KIND_NOT_ALLOWED', `a Message that could be a Hash, which is not allowed: ${why}`);
}

function otherDigests(
  request: LeasedSign,
  { type, publicKey }: WrappedKey,
  body: SignatureBody,
  { network }: { readonly keyId: string; readonly network?: string },
): Refusal | undefined {
  let digests: readonly Buffer[];
  try {
    ({ digests } = digestsToSign({ type, publicKey, body, ...(network === undefined ? {} : { network }) }));
  } catch (error) {
    return refuse(`its payload cannot be signed by this key: ${asCodedError(error).detail}`);
  }
  const same =
    digests.length === request.digests.length &&
    digests.every((one, at) => one.toString('hex') === request.digests[at]);
  return same ? undefined : refuse('the digests are not those of its payload');
}

function refuse(why: string): Refusal {
  return refusal('AUTHORISATION_REFUSED', why);
}
