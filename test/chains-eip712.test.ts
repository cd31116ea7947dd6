import { keccak_256 } from '@noble/hashes/sha3.js';
import fc from 'fast-check';
import t from 'tap';
import { hashTypedData, recoverTypedDataAddress } from 'viem';
import { privateKeyToAccount } from 'viem/accounts';
import { type SignatureBody, signatureBody } from '../src/shared/chains/signature-body.ts';
import { refusalOf, signWith } from './support/chain-signer.ts';

/** The private key of EIP-712's example: keccak256("cow"). */
const cow = Buffer.from(keccak_256(Buffer.from('cow'))).toString('hex');

const mail = {
  types: {
    Person: [
      { name: 'name', type: 'string' },
      { name: 'wallet', type: 'address' },
    ],
    Mail: [
      { name: 'from', type: 'Person' },
      { name: 'to', type: 'Person' },
      { name: 'contents', type: 'string' },
    ],
  },
  domain: {
    name: 'Ether Mail',
    version: '1',
    chainId: 1,
    verifyingContract: '0xCcCCccccCCCCcCCCCCCcCcCccCcCCCcCcccccccC',
  },
  message: {
    from: { name: 'Cow', wallet: '0xCD2a3d9F938E13CD947Ec05AbC7FE734Df8DD826' },
    to: { name: 'Bob', wallet: '0xbBbBBBBbbBBBbbbBbbBbbbbBBbBbbbbBbBbbBBbB' },
    contents: 'Hello, Bob!',
  },
};

/** As it comes in: through JSON and the schema of the API. */
function body(data: object): SignatureBody {
  return signatureBody.parse({ kind: 'Eip712', ...JSON.parse(JSON.stringify(data)) });
}

const digestOf = (data: object) => `0x${signWith(cow, body(data)).digests[0]?.toString('hex')}`;
const refusal = (data: object) => refusalOf(() => signWith(cow, body(data)));
/** One member of this type with this value, and the digest or the refusal. */
const single = (type: string, value: unknown, more: object = {}) => ({
  types: { A: [{ name: 'a', type }], ...more },
  domain: {},
  message: { a: value },
});

t.test('the example of EIP-712 gives its digest and its signature', async (t) => {
  const { digests, joined } = signWith(cow, body(mail));
  t.equal(digests[0]?.toString('hex'), 'be609aee343fb3c4b28e1df9e632fca64fcfaede20f02e86244efddf30957bd2');
  t.equal(
    joined.signature.encoded,
    '0x4355c47d63924e8a72e509b65029052eb6c299d53a04e167c5775fd466751c9d07299936d304c153f6443dfa05f40ff007d72911b6f72307f996231605b915621c',
  );
  t.equal(joined.signedData, undefined);
});

t.test('a type of the domain may be given, and says nothing', async (t) => {
  const types = { ...mail.types, EIP712Domain: [{ name: 'name', type: 'string' }] };
  t.equal(digestOf({ ...mail, types }), digestOf(mail));
});

t.test('members of the domain are optional; an empty one is not an absent one', async (t) => {
  const types = { A: [{ name: 'a', type: 'uint256' }] };
  const message = { a: 1 };
  const salt = `0x${'ab'.repeat(32)}` as const;
  for (const domain of [
    {},
    { name: '' },
    { version: '' },
    { name: 'x', chainId: 5 },
    { salt },
    { verifyingContract: `0x${'cd'.repeat(20)}` as const, salt },
  ]) {
    const domainTypes = [
      { name: 'name', type: 'string' },
      { name: 'version', type: 'string' },
      { name: 'chainId', type: 'uint256' },
      { name: 'verifyingContract', type: 'address' },
      { name: 'salt', type: 'bytes32' },
    ].filter(({ name }) => name in domain);
    t.equal(
      digestOf({ types, domain, message }),
      hashTypedData({
        types: { ...types, EIP712Domain: domainTypes },
        domain,
        message,
        primaryType: 'A',
      } as Parameters<typeof hashTypedData>[0]),
      JSON.stringify(domain),
    );
  }
});

t.test('the chain id is the same as a number, in decimal and in hex', async (t) => {
  const digest = (chainId: unknown) => digestOf({ ...mail, domain: { ...mail.domain, chainId } });
  t.equal(digest('1'), digest(1));
  t.equal(digest('0x1'), digest(1));
  t.not(digest('2'), digest(1));
  for (const chainId of ['', '1.5', 'one', '-1', `${2n ** 256n}`])
    t.equal(refusal({ ...mail, domain: { ...mail.domain, chainId } }).code, 'BAD_REQUEST', chainId);
  for (const chainId of [0, 1.5, null, {}]) t.throws(() => body({ ...mail, domain: { chainId } }));
});

t.test('integers in every form that JSON has for them are the same integer', async (t) => {
  const digest = digestOf(single('uint256', 255));
  for (const value of ['255', '0xff', '0xFF', { type: 'BigNumber', hex: '0xff' }])
    t.equal(digestOf(single('uint256', value)), digest, JSON.stringify(value));
  t.equal(digestOf(single('int8', -1)), digestOf(single('int8', '-1')));
  t.equal(digestOf(single('int8', { type: 'BigNumber', hex: '-0x01' })), digestOf(single('int8', -1)));
  const most = 2n ** 256n - 1n;
  t.equal(digestOf(single('uint256', `${most}`)), digestOf(single('uint256', `0x${most.toString(16)}`)));
});

t.test('bytes in every form that JSON has for them are the same bytes', async (t) => {
  for (const type of ['bytes', 'bytes3']) {
    const digest = digestOf(single(type, '0xab00ff'));
    for (const value of ['0xAB00FF', [0xab, 0, 0xff], Buffer.from('ab00ff', 'hex'), Uint8Array.of(0xab, 0, 0xff)])
      t.equal(digestOf(single(type, value)), digest, JSON.stringify(value));
  }
  t.equal(digestOf(single('bytes', new Uint8Array())), digestOf(single('bytes', '0x')));
});

t.test('values that are not of their type are refused, with their place', async (t) => {
  const wrong: [string, unknown][] = [
    ['uint8', 256],
    ['uint8', -1],
    ['int8', 128],
    ['int8', -129],
    ['uint256', `${2n ** 256n}`],
    ['uint256', 2 ** 53],
    ['uint256', 1.5],
    ['uint256', ''],
    ['uint256', '0x'],
    ['uint256', true],
    ['uint256', null],
    ['uint256', { type: 'BigNumber', hex: '0xff', more: 1 }],
    ['bool', 1],
    ['bool', 'true'],
    ['string', 1],
    ['string', '\ud800'],
    ['address', `0x${'ab'.repeat(19)}`],
    ['address', 'ab'.repeat(20)],
    ['address', '0xcD2a3d9F938E13CD947Ec05AbC7FE734Df8DD826'],
    ['bytes', 'ab'],
    ['bytes', '0xabc'],
    ['bytes', [256]],
    ['bytes', [1.5]],
    ['bytes', ['1']],
    ['bytes', { 0: 1, 2: 1 }],
    ['bytes', { type: 'Buffer', data: [1], more: 1 }],
    ['bytes4', '0xabcdef'],
    ['bytes4', '0xabcdefabcd'],
    ['uint8[]', 1],
    ['uint8[]', [1, 256]],
    ['uint8[2]', [1]],
    ['uint8[2][]', [[1, 2], [3]]],
    ['A[]', [{}]],
  ];
  for (const [type, value] of wrong) {
    const { code, detail } = refusal(single(type, value));
    t.equal(code, 'BAD_REQUEST', `${type}: ${JSON.stringify(value)}`);
    t.match(detail, /^message\.a/);
  }
});

t.test('what would not be signed, or with another meaning, is refused', async (t) => {
  const { types, domain, message } = mail;
  const wrong: Record<string, object> = {
    'a member that no type has': { types, domain, message: { ...message, more: 1 } },
    'a member that is missing': { types, domain, message: { from: message.from, to: message.to } },
    'no type at all': { types: {}, domain, message },
    'only the type of the domain': { types: { EIP712Domain: [] }, domain, message: {} },
    'two primary types': { types: { ...types, Other: [] }, domain, message },
    'types in a circle': {
      types: { A: [{ name: 'b', type: 'B[]' }], B: [{ name: 'a', type: 'A[]' }] },
      domain,
      message: { b: [] },
    },
    'types in a circle beside the primary type': {
      types: { C: [], A: [{ name: 'b', type: 'B[]' }], B: [{ name: 'a', type: 'A[]' }] },
      domain,
      message: {},
    },
    'a type that is not there': { types: { A: [{ name: 'a', type: 'B' }] }, domain, message: { a: {} } },
    'a type of a prototype': { types: { A: [{ name: 'a', type: 'constructor' }] }, domain, message: { a: {} } },
    'a type that is named like an elementary one': { types: { uint8: [] }, domain, message: {} },
    'a name that closes the bracket': { types: { 'A(uint256 a)': [] }, domain, message: {} },
    'a member named twice': {
      types: {
        A: [
          { name: 'a', type: 'bool' },
          { name: 'a', type: 'bool' },
        ],
      },
      domain,
      message: { a: true },
    },
    'an integer of 7 bits': single('uint7', 1),
    bytes33: single('bytes33', `0x${'00'.repeat(33)}`),
    'an array of length 0': single('uint8[0]', []),
  };
  for (const [name, data] of Object.entries(wrong)) t.equal(refusal(data).code, 'BAD_REQUEST', name);
  t.throws(() => body({ ...mail, primaryType: 'Mail' }), 'members that the Dfns API does not have');
  t.throws(() => body({ ...mail, domain: { ...domain, more: 1 } }));
  const hostile = JSON.parse('{"kind":"Eip712","types":{"__proto__":[]},"domain":{},"message":{}}');
  t.ok(refusalOf(() => signWith(cow, signatureBody.parse(hostile))).code);
});

t.test('very many values, types or names, and very deep messages, are refused', async (t) => {
  const types = Array.from({ length: 101 }, (_, index): [string, object[]] => [
    `T${index}`,
    [{ name: 'a', type: index === 100 ? 'bool' : `T${index + 1}[]` }],
  ]);
  const many = { types: Object.fromEntries(types), domain: {}, message: { a: [] } };
  t.match(refusal(many), { code: 'BAD_REQUEST', detail: /more than 100 types/ });
  const long = { types: { A: [{ name: 'a'.repeat(40_000), type: 'bool' }] }, domain: {}, message: {} };
  t.match(refusal(long), { code: 'BAD_REQUEST', detail: /characters/ });
  t.match(refusal(single('uint8[]', Array(5_000).fill(1))), { code: 'BAD_REQUEST', detail: /more than/ });
  let deep: object = { a: [] };
  for (let depth = 0; depth < 100; depth += 1) deep = { a: [deep] };
  t.match(refusal({ types: { A: [{ name: 'a', type: 'A[]' }] }, domain: {}, message: deep }), {
    code: 'BAD_REQUEST',
    detail: /deeper/,
  });
});

/** Random types, each of which uses those before it, and a value of the last one. */
const hex = (bytes: number) =>
  fc.uint8Array({ minLength: bytes, maxLength: bytes }).map((value) => `0x${Buffer.from(value).toString('hex')}`);
const elementary: [string, fc.Arbitrary<unknown>][] = [
  ['uint256', fc.bigInt(0n, 2n ** 256n - 1n).map(String)],
  ['uint64', fc.bigInt(0n, 2n ** 64n - 1n).map(String)],
  ['int16', fc.integer({ min: -(2 ** 15), max: 2 ** 15 - 1 })],
  ['int256', fc.bigInt(-(2n ** 255n), 2n ** 255n - 1n).map(String)],
  ['bool', fc.boolean()],
  ['address', hex(20)],
  ['bytes', fc.uint8Array({ maxLength: 70 }).map((value) => `0x${Buffer.from(value).toString('hex')}`)],
  ['bytes4', hex(4)],
  ['bytes32', hex(32)],
  ['string', fc.string({ unit: 'grapheme' })],
];

const typedData = fc.integer({ min: 1, max: 4 }).chain((count) => {
  let known = [...elementary];
  const types: fc.Arbitrary<[string, { name: string; type: string }[]]>[] = [];
  let value: fc.Arbitrary<unknown> = fc.constant({});
  for (let index = 0; index < count; index += 1) {
    const name = `T${index}`;
    const options = known;
    const inner = options.at(-1) as (typeof options)[0];
    const fields = options
      .slice(index, index + 3)
      .flatMap(([type, arbitrary], at): [string, string, fc.Arbitrary<unknown>][] => [
        [`a${at}`, type, arbitrary],
        [`b${at}`, `${type}[]`, fc.array(arbitrary, { maxLength: 2 })],
      ]);
    // Each type uses the one before it, so that there is one primary type.
    if (index > 0) {
      const pair = fc.array(inner[1], { minLength: 2, maxLength: 2 });
      fields.push(['c', inner[0], inner[1]], ['d', `${inner[0]}[2][]`, fc.array(pair, { maxLength: 1 })]);
    }
    types.push(fc.constant([name, fields.map(([field, type]) => ({ name: field, type }))]));
    value = fc.record(Object.fromEntries(fields.map(([field, , arbitrary]) => [field, arbitrary])));
    known = [...known, [name, value]];
  }
  return fc.record({
    types: fc.tuple(...types).map((entries) => Object.fromEntries(entries)),
    domain: fc.record(
      {
        name: fc.string(),
        version: fc.string(),
        chainId: fc.integer({ min: 1 }),
        verifyingContract: hex(20),
        salt: hex(32),
      },
      { requiredKeys: [] },
    ),
    message: value,
    primaryType: fc.constant(`T${count - 1}`),
  });
});

/** What lib-ethersjs5 hashes with; it infers the primary type and the domain's type itself. */
const { _TypedDataEncoder: ethers } = await import('@ethersproject/hash');

t.test('any typed data has the digest that ethers and viem compute', async (t) => {
  await fc.assert(
    fc.asyncProperty(typedData, async ({ types, domain, message, primaryType }) => {
      const digest = digestOf({ types, domain, message });
      if (digest !== ethers.hash(domain, types, message as Record<string, unknown>)) throw new Error('ethers differs');
      const viems = {
        types,
        domain,
        message: JSON.parse(JSON.stringify(message)),
        primaryType,
      } as Parameters<typeof hashTypedData>[0];
      // viem takes an empty version for an absent one.
      if (domain.version !== '' && digest !== hashTypedData(viems)) throw new Error('viem differs');
    }),
    { numRuns: 60 },
  );
  t.pass('for 60 random ones');
});

t.test('the signature recovers to the account', async (t) => {
  const { joined } = signWith(cow, body(mail), 'EthereumSepolia');
  const data = { ...mail, primaryType: 'Mail', signature: joined.signature.encoded } as unknown;
  t.equal(
    await recoverTypedDataAddress(data as Parameters<typeof recoverTypedDataAddress>[0]),
    privateKeyToAccount(`0x${cow}`).address,
  );
});
