import { randomBytes } from 'node:crypto';
import { Keypair, SystemProgram, TransactionMessage } from '@solana/web3.js';
import t from 'tap';
import { digestsToSign } from '../src/shared/chains/index.ts';
import { type SignatureBody, type SignatureKind, signatureKinds } from '../src/shared/chains/signature-body.ts';
import type { LeasedSign } from '../src/shared/driver-protocol.ts';
import { isRefusal } from '../src/worker/policy/refusal.ts';
import { signContent } from '../src/worker/policy/sign-content.ts';
import type { WrappedKey } from '../src/worker/wrapped-key.ts';
import { makeCaller } from './support/caller.ts';
import { organisation } from './support/slot-worker.ts';

/** Without Hash, an EdDSA key must not sign under the name of a Message what could be a hash or a transaction. */
const type = { scheme: 'EdDSA', curve: 'ed25519' } as const;
const owner = Keypair.generate();
const publicKey = Buffer.from(owner.publicKey.toBytes()).toString('hex');
const caller = makeCaller();
const readable = new Set<SignatureKind>(signatureKinds.filter((kind) => kind !== 'Hash'));

const key = (allowedKinds: readonly string[] = []): WrappedKey => ({
  keyId: 'key-1',
  requestId: 'key-1',
  keyStore: 'test',
  organisation,
  type,
  publicKey,
  blob: Buffer.alloc(0),
  wrapAlgorithm: 'RFC5649',
  wrapMechanism: 0x210a,
  masterKeyId: 'mk-test',
  integrityKeyId: 'ik-test',
  allowedKinds,
  status: 'active',
  tag: Buffer.alloc(0),
});

function request(body: SignatureBody): LeasedSign {
  const { authorisation } = caller.authorise('/keys/key-1/signatures', body);
  const { digests } = digestsToSign({ type, publicKey, body });
  return {
    id: 'sig-1',
    lease: 'lease-1',
    attempt: 1,
    leaseMs: 15_000,
    organisation,
    keyId: 'key-1',
    kind: 'Sign',
    type,
    digests: digests.map((digest) => digest.toString('hex')),
    lookUp: false,
    authorisation,
  };
}

const messageOf = (bytes: Uint8Array, more: Partial<SignatureBody> = {}) =>
  ({ kind: 'Message', message: `0x${Buffer.from(bytes).toString('hex')}`, ...more }) as SignatureBody;

/** By the key store's policy, and by the key's own list. */
function bothSay(body: SignatureBody): readonly (string | undefined)[] {
  return [signContent(request(body), key(), readable), signContent(request(body), key([...readable]), undefined)].map(
    (answer) => (isRefusal(answer) ? `${answer.refused} ${answer.detail}` : undefined),
  );
}

const transfer = new TransactionMessage({
  payerKey: owner.publicKey,
  recentBlockhash: '4sGjMW1sUnHzSxGspuhpqLDx6wiyjNtZAMdL4VZHirAn',
  instructions: [
    SystemProgram.transfer({
      fromPubkey: owner.publicKey,
      toPubkey: Keypair.generate().publicKey,
      lamports: 1_000_000n,
    }),
  ],
});
const solana = { network: 'SolanaDevnet' } as const;

t.test('what could be a hash or a transaction is refused', async (t) => {
  const bad: readonly [string, SignatureBody][] = [
    ['a hash', messageOf(randomBytes(32))],
    ['a hash that looks like text', messageOf(Buffer.from('0123456789abcdef0123456789abcdef'))],
    ['a hash for Solana', messageOf(randomBytes(32), solana)],
    ['a hash, by blockchainKind', messageOf(randomBytes(32), { blockchainKind: 'Solana' })],
    ['a long hash', messageOf(Buffer.concat([randomBytes(63), Buffer.from([0xff])]))],
    ['a Solana transaction', messageOf(transfer.compileToLegacyMessage().serialize(), solana)],
    ['the same, of no network', messageOf(transfer.compileToLegacyMessage().serialize())],
    ['a Solana transaction of version 0', messageOf(transfer.compileToV0Message().serialize(), solana)],
    ['text with a NUL', messageOf(Buffer.from('pay\0all'))],
    ['text with an escape', messageOf(Buffer.from('pay\x1b[2Kall'))],
    ['UTF-16', messageOf(Buffer.from('login', 'utf16le'))],
  ];
  for (const [what, body] of bad)
    for (const said of bothSay(body)) t.match(said, /^KIND_NOT_ALLOWED .*could be a Hash/, what);
});

t.test('text is signed, and so is what the driver reads itself', async (t) => {
  for (const text of ['login 123', 'Grüße, 世界 👋', 'two\nlines\r\n\tand a tab', 'x'.repeat(33), '0'.repeat(31)])
    for (const more of [{}, solana]) t.same(bothSay(messageOf(Buffer.from(text), more)), [undefined, undefined], text);
  const unsigned = Buffer.concat([
    Buffer.from([1]),
    Buffer.alloc(64),
    transfer.compileToLegacyMessage().serialize(),
  ]).toString('hex');
  const body: SignatureBody = { kind: 'Transaction', transaction: `0x${unsigned}`, ...solana };
  t.same(bothSay(body), [undefined, undefined]);
});

t.test('where Hash is allowed, a Message is any bytes', async (t) => {
  for (const kinds of [undefined, new Set<SignatureKind>(['Hash', 'Message'])])
    t.notOk(isRefusal(signContent(request(messageOf(randomBytes(32))), key(), kinds)));
});
