import { secp256k1 } from '@noble/curves/secp256k1.js';
import t from 'tap';
import {
  hashMessage,
  parseTransaction,
  recoverMessageAddress,
  recoverTransactionAddress,
  serializeTransaction,
  type TransactionSerializable,
} from 'viem';
import { privateKeyToAccount } from 'viem/accounts';
import { hashAuthorization, recoverAuthorizationAddress } from 'viem/utils';
import { digestsToSign, joinSignatures } from '../src/shared/chains/index.ts';
import type { SignatureBody } from '../src/shared/chains/signature-body.ts';
import type { Signature } from '../src/shared/driver-protocol.ts';
import { CodedError } from '../src/shared/errors.ts';

const type = { scheme: 'ECDSA', curve: 'secp256k1' } as const;

function publicKeyOf(privateKey: string): string {
  return Buffer.from(secp256k1.getPublicKey(Buffer.from(privateKey, 'hex'))).toString('hex');
}

/** What a driver reports: r‖s with low s, and recid. Deterministic (RFC 6979), as the published vectors are. */
function driverSignature(digest: Buffer, privateKey: string): Signature {
  const signed = secp256k1.sign(digest, Buffer.from(privateKey, 'hex'), { prehash: false, format: 'recovered' });
  return { recid: signed[0] as 0 | 1, rs: Buffer.from(signed.subarray(1)).toString('hex') };
}

function sign(body: SignatureBody, privateKey: string) {
  const publicKey = publicKeyOf(privateKey);
  const { digests, format } = digestsToSign({ type, publicKey, body });
  // As the row keeps it.
  const stored = format === undefined ? undefined : JSON.parse(JSON.stringify(format));
  const signatures = digests.map((digest) => driverSignature(digest, privateKey));
  return { digests, joined: joinSignatures(stored, signatures, publicKey) };
}

function refusal(body: SignatureBody): { code?: string; detail?: string } {
  try {
    digestsToSign({ type, publicKey: publicKeyOf('46'.repeat(32)), body });
  } catch (error) {
    if (error instanceof CodedError) return { code: error.code, detail: error.detail };
    throw error;
  }
  return {};
}

const evmTransaction = (transaction: string): SignatureBody => ({
  kind: 'Transaction',
  blockchainKind: 'Evm',
  transaction,
});

t.test('the example of EIP-155 gives its digest, r, s and signed transaction', async (t) => {
  const unsigned = '0xec098504a817c800825208943535353535353535353535353535353535353535880de0b6b3a764000080018080';
  const { digests, joined } = sign(evmTransaction(unsigned), '46'.repeat(32));
  t.equal(digests[0]?.toString('hex'), 'daf5a779ae972f972197303d7b574746c7ef83eadac0f2791ad23db92e4c8e53');
  t.equal(joined.signature.r, '0x28ef61340bd939bc2195fe537567866003e1a15d3c71ff63e1590620aa636276');
  t.equal(joined.signature.s, '0x67cbe9d8997f761aecb703304b3800ccf555c9f3dc64214b297fb1966a3b6d83');
  t.equal(joined.signature.recid, 0);
  t.equal(
    joined.signedData,
    '0xf86c098504a817c800825208943535353535353535353535353535353535353535880de0b6b3a76400008025a028ef61340bd939bc2195fe537567866003e1a15d3c71ff63e1590620aa636276a067cbe9d8997f761aecb703304b3800ccf555c9f3dc64214b297fb1966a3b6d83',
  );
  t.equal(joined.signatures, undefined);
});

t.test('the EIP-2930 transaction of go-ethereum’s tests has its digest', async (t) => {
  const unsigned = '01e00103018261a894b94f5374fce5edbc8e2a8697c15331677e6ebf0b0a825544c0';
  const { digests, joined } = sign(evmTransaction(unsigned), '46'.repeat(32));
  t.equal(digests[0]?.toString('hex'), '49b486f0ec0a60dfbbca2d30cb07c9e8ffb2a2ff41f29a1ab6737475f6ff69f3');
  t.equal(
    await recoverTransactionAddress({ serializedTransaction: joined.signedData as `0x01${string}` }),
    privateKeyToAccount(`0x${'46'.repeat(32)}`).address,
  );
});

t.test('the EIP-1559 transaction of the eth-account tests comes back signed as it is published', async (t) => {
  const unsigned =
    '0x02f0010284773594008477359400830186a09496216849c49358b10257cb55b28ea603c874b05e865af3107a4000825544c0';
  const { joined } = sign(evmTransaction(unsigned), '4c0883a69102937d6231471b5dbb6204fe5129617082792ae468d01a3f362318');
  t.equal(
    joined.signedData,
    '0x02f873010284773594008477359400830186a09496216849c49358b10257cb55b28ea603c874b05e865af3107a4000825544c080a07cfcd6472c4a29c566df07851c4708cb02523f71075221cc8e668908db58fde0a03b9185c7a719a99f2822dda5ed94c9f90641bd75578f093f15ceb71fc6ba85fc',
  );
});

t.test('every kind of transaction comes back signed exactly as viem signs it', async (t) => {
  const privateKey = '8f2a55949038a9610f50fb23b5883af3b4ecb3c3bb792cbcefbd1542c692be63';
  const account = privateKeyToAccount(`0x${privateKey}`);
  const to = '0xa238b6008bc2fbd9e386a5d4784511980ce504cd';
  const authorisation = await account.signAuthorization({ address: to, chainId: 0, nonce: 0 });
  const transactions: TransactionSerializable[] = [
    { type: 'legacy', nonce: 0, gasPrice: 2n, gas: 21_000n, to, value: 1n },
    { type: 'legacy', chainId: 11_155_111, nonce: 255, gasPrice: 256n, gas: 21_000n, to, value: 0n, data: '0x00' },
    { type: 'legacy', chainId: 1, gasPrice: 1n, gas: 53_000n, data: `0x60${'ab'.repeat(300)}` },
    { type: 'eip2930', chainId: 1, nonce: 128, gasPrice: 1n, gas: 21_000n, to, accessList: [] },
    { type: 'eip1559', chainId: 137, nonce: 1, maxFeePerGas: 3n, maxPriorityFeePerGas: 1n, gas: 21_000n, to },
    { type: 'eip1559', chainId: 137, nonce: 1, maxFeePerGas: 3n, gas: 90_000n, data: '0x6001' },
    {
      type: 'eip4844',
      chainId: 1,
      maxFeePerGas: 3n,
      maxFeePerBlobGas: 1n,
      gas: 21_000n,
      to,
      blobVersionedHashes: [`0x01${'ab'.repeat(31)}`],
    },
    { type: 'eip7702', chainId: 1, maxFeePerGas: 3n, gas: 90_000n, to, authorizationList: [authorisation] },
  ];
  for (const transaction of transactions) {
    const unsigned = serializeTransaction(transaction);
    const { joined } = sign(evmTransaction(unsigned), privateKey);
    t.equal(
      joined.signedData,
      await account.signTransaction(transaction),
      JSON.stringify(parseTransaction(unsigned), (_, v) => (typeof v === 'bigint' ? String(v) : v)),
    );
  }
});

t.test('r and s with leading zeros stay 64 digits in the answer and lose the zeros in the transaction', async (t) => {
  const unsigned = 'dc800182520894a238b6008bc2fbd9e386a5d4784511980ce504cd0180';
  const { format } = digestsToSign({ type, publicKey: publicKeyOf('46'.repeat(32)), body: evmTransaction(unsigned) });
  const rs = `${'00'.repeat(2)}${'11'.repeat(30)}${'00'.repeat(1)}${'22'.repeat(31)}`;
  const joined = joinSignatures(format, [{ rs, recid: 1 }], publicKeyOf('46'.repeat(32)));
  t.equal(joined.signature.r, `0x0000${'11'.repeat(30)}`);
  t.equal(joined.signature.s, `0x00${'22'.repeat(31)}`);
  t.equal(joined.signature.encoded, `0x${rs}1c`);
  t.ok(joined.signedData?.endsWith(`1c9e${'11'.repeat(30)}9f${'22'.repeat(31)}`));
});

t.test('hex is taken with and without 0x, and in either case', async (t) => {
  const unsigned = 'dc800182520894a238b6008bc2fbd9e386a5d4784511980ce504cd0180';
  const digest = (text: string) => sign(evmTransaction(text), '46'.repeat(32)).digests[0]?.toString('hex');
  t.equal(digest(`0x${unsigned}`), digest(unsigned));
  t.equal(digest(unsigned.toUpperCase()), digest(unsigned));
});

t.test('what is no unsigned transaction is refused', async (t) => {
  const legacy = 'dc800182520894a238b6008bc2fbd9e386a5d4784511980ce504cd0180';
  const account = privateKeyToAccount(`0x${'46'.repeat(32)}`);
  const to = '0xa238b6008bc2fbd9e386a5d4784511980ce504cd';
  const signed = [
    await account.signTransaction({ type: 'legacy', gasPrice: 1n, gas: 21_000n, to }),
    await account.signTransaction({ type: 'legacy', chainId: 1, gasPrice: 1n, gas: 21_000n, to }),
    await account.signTransaction({ type: 'eip1559', chainId: 1, maxFeePerGas: 1n, gas: 21_000n, to }),
  ];
  const wrong: Record<string, string> = {
    empty: '',
    'one byte after the end': `${legacy}00`,
    'cut short': legacy.slice(0, -2),
    'an unknown type': `05${legacy}`,
    'a string instead of a list': '8401020304',
    'a nonce with a leading zero': 'dd82000182520894a238b6008bc2fbd9e386a5d4784511980ce504cd0180',
    'a small byte with a header': 'dd81010182520894a238b6008bc2fbd9e386a5d4784511980ce504cd0180',
    'an address of 19 bytes': 'db80018252089338b6008bc2fbd9e386a5d4784511980ce504cd0180',
    'a list in place of the data': 'dc800182520894a238b6008bc2fbd9e386a5d4784511980ce504cd01c0',
    'a long length for a short list': `f81c${legacy.slice(2)}`,
    'chain id 0': 'df800182520894a238b6008bc2fbd9e386a5d4784511980ce504cd0180808080',
    'an EIP-4844 transaction without fields': '03c0',
    'an EIP-4844 transaction that makes a contract':
      '03f84e010101010180800180c001f842a0010000000000000000000000000000000000000000000000000000000000000000a0010000000000000000000000000000000000000000000000000000000000000000',
    'a nonce of 9 bytes': 'e689010000000000000000018252089 4a238b6008bc2fbd9e386a5d4784511980ce504cd0180'.replace(
      ' ',
      '',
    ),
    'an access list with a short key':
      '01e6010301827a1294b94f5374fce5edbc8e2a8697c15331677e6ebf0b0a825544c6c5810181c101',
    ...Object.fromEntries(signed.map((transaction, index) => [`signed already ${index}`, transaction])),
  };
  for (const [name, transaction] of Object.entries(wrong))
    t.equal(refusal(evmTransaction(transaction)).code, 'BAD_REQUEST', name);
  t.match(refusal(evmTransaction(signed[2] as string)), { detail: /signed already/ });
  t.equal(refusal(evmTransaction('0xabc')).code, 'BAD_REQUEST', 'an odd number of digits');
});

t.test('a transaction that no node would take into its pool is refused', async (t) => {
  const unsigned = serializeTransaction({ type: 'eip1559', chainId: 1, gas: 1n, data: `0x${'00'.repeat(131_072)}` });
  t.match(refusal(evmTransaction(unsigned)), { code: 'BAD_REQUEST', detail: /longer than 131072 bytes/ });
});

t.test('deeply nested lists are refused without filling the stack', async (t) => {
  let nested = Buffer.from([0xc0]);
  for (let depth = 0; depth < 50; depth += 1) nested = Buffer.concat([Buffer.from([0xc0 + nested.length]), nested]);
  t.equal(refusal(evmTransaction(nested.toString('hex'))).code, 'BAD_REQUEST');
  t.equal(refusal(evmTransaction('c1'.repeat(500_000))).code, 'BAD_REQUEST');
});

t.test('messages are signed as EIP-191 says', async (t) => {
  const key = '4c0883a69102937d6231471b5dbb6204fe5129617082792ae468d01a3f362318';
  const message = Buffer.from('Some data').toString('hex');
  const { digests, joined } = sign({ kind: 'Message', message, network: 'EthereumSepolia' }, key);
  t.equal(digests[0]?.toString('hex'), '1da44b586eb0729ff70a73c326926f6ed5a25f5b056e7f47fbc6e58d86871655');
  t.equal(
    joined.signature.encoded,
    '0xb91467e570a6466aa9e9876cbcd013baba02900b8979d43fe208a4a4f339f5fd6007e74cd82e037b800186422fc2da167c747ef045e5d18a5f5d4300f8e1a0291c',
  );
  t.equal(joined.signedData, undefined);
  t.same(
    sign({ kind: 'Eip191', message }, key),
    { digests, joined },
    'kind Eip191 is the same and names the chain by itself',
  );
});

t.test('messages of any bytes and length have viem’s digest', async (t) => {
  for (const text of ['', 'hello é', 'x'.repeat(999), '\0\n']) {
    const raw = `0x${Buffer.from(text).toString('hex')}` as const;
    const { digests, joined } = sign({ kind: 'Message', blockchainKind: 'Evm', message: raw }, '46'.repeat(32));
    t.equal(`0x${digests[0]?.toString('hex')}`, hashMessage({ raw }));
    t.equal(
      await recoverMessageAddress({ message: { raw }, signature: joined.signature.encoded as `0x${string}` }),
      privateKeyToAccount(`0x${'46'.repeat(32)}`).address,
    );
  }
});

t.test('an EIP-7702 authorisation is hashed as viem does, and recovers to the account', async (t) => {
  const address = '0xa238b6008bc2fbd9e386a5d4784511980ce504cd';
  for (const [chainId, nonce] of [
    [0, 0],
    [1, 1],
    [11_155_111, 2 ** 32],
    [Number.MAX_SAFE_INTEGER, 255],
  ] as const) {
    const { digests, joined } = sign({ kind: 'Eip7702', address, chainId, nonce }, '46'.repeat(32));
    t.equal(`0x${digests[0]?.toString('hex')}`, hashAuthorization({ address, chainId, nonce }));
    t.equal(
      await recoverAuthorizationAddress({
        authorization: { address, chainId, nonce },
        signature: joined.signature.encoded as `0x${string}`,
      }),
      privateKeyToAccount(`0x${'46'.repeat(32)}`).address,
    );
  }
  t.match(refusal({ kind: 'Eip7702', address: address.replace('a', 'A') as string, chainId: 1, nonce: 1 }), {
    code: 'BAD_REQUEST',
    detail: /checksum/,
  });
});

t.test('kinds of EVM chains are refused for other chains, by name', async (t) => {
  for (const body of [
    { kind: 'Eip191', message: '00' },
    { kind: 'Eip712', types: { A: [] }, domain: {}, message: {} },
    { kind: 'Eip7702', address: `0x${'ab'.repeat(20)}`, chainId: 1, nonce: 1 },
  ] as SignatureBody[]) {
    const detail = new RegExp(`kind ${body.kind} for network Tron`);
    t.match(refusal({ ...body, network: 'Tron' }), { code: 'UNSUPPORTED', detail });
    t.match(refusal({ ...body, blockchainKind: 'Bitcoin' }), { code: 'UNSUPPORTED' });
  }
});
