import { secp256k1 } from '@noble/curves/secp256k1.js';
import { Transaction as Version2 } from '@scure/btc-signer';
import { networks, Psbt, payments, Transaction } from 'bitcoinjs-lib';
import fc from 'fast-check';
import t from 'tap';
import type { SignatureBody } from '../src/shared/chains/signature-body.ts';
import { publicKeyOf, refusalOf, signWith } from './support/chain-signer.ts';

/** PSBTs are made, checked, finalised and extracted by bitcoinjs-lib, which shares no code with what signs them. */
const privateKey = '619c335025c7f4012e556c2a58b2506e30b8511b53ade95ea316fd8c3286feb9';
const stranger = '46'.repeat(32);

const body = (psbt: Psbt | string, more: object = {}): SignatureBody =>
  ({ kind: 'Psbt', psbt: typeof psbt === 'string' ? psbt : `0x${psbt.toHex()}`, ...more }) as SignatureBody;

const refusal = (psbt: Psbt | string, more: object = {}) => refusalOf(() => signWith(privateKey, body(psbt, more)));

function p2wpkhScript(key: string): Uint8Array {
  return payments.p2wpkh({ pubkey: Buffer.from(publicKeyOf(key), 'hex') }).output as Uint8Array;
}

interface Spend {
  readonly key?: string;
  readonly value?: bigint;
  readonly script?: Uint8Array;
  readonly whole?: boolean;
}

/** One input for each spend, of a previous transaction of its own, and one output. */
function psbtOf(spends: readonly Spend[], pays = 1_000n): Psbt {
  const psbt = new Psbt({ network: networks.testnet });
  spends.forEach(({ key = privateKey, value = 10_000n, script = p2wpkhScript(key), whole = false }, index) => {
    const previous = new Transaction();
    previous.addInput(Buffer.alloc(32, index + 1), 0);
    previous.addOutput(script, value);
    psbt.addInput({
      hash: previous.getId(),
      index: 0,
      ...(whole ? { nonWitnessUtxo: previous.toBuffer() } : { witnessUtxo: { script, value } }),
    });
  });
  psbt.addOutput({ script: p2wpkhScript(stranger), value: pays });
  return psbt;
}

const verify = (publicKey: Uint8Array, hash: Uint8Array, signature: Uint8Array) =>
  secp256k1.verify(signature, hash, publicKey, { prehash: false });

const read = (signedData: string | undefined) =>
  Psbt.fromHex((signedData ?? '').slice(2), { network: networks.testnet });

t.test('the example of BIP 143 gives its digest and its signature', async (t) => {
  const unsigned =
    '0100000002fff7f7881a8099afa6940d42d1e7f6362bec38171ea3edf433541db4e4ad969f0000000000eeffffffef51e1b804cc89d182d279655c3aa89e815b1b309fe287d9b2b55d57b90ec68a0100000000ffffffff02202cb206000000001976a9148280b37df378db99f66f85c95a783a76ac7a6d5988ac9093510d000000001976a9143bde42dbee7e4dbe6a21b2d50ce2f0167faa815988ac11000000';
  const transaction = Transaction.fromHex(unsigned);
  const psbt = new Psbt();
  psbt.setVersion(transaction.version).setLocktime(transaction.locktime);
  const scripts = [
    {
      script: Buffer.from('2103c9f4836b9a4f77fc0d81f7bcb01b7f1b35916864b9476c241ce9fc198bd25432ac', 'hex'),
      value: 625_000_000n,
    },
    { script: p2wpkhScript(privateKey), value: 600_000_000n },
  ];
  transaction.ins.forEach(({ hash, index, sequence }, at) => {
    psbt.addInput({ hash, index, sequence, witnessUtxo: scripts[at] as (typeof scripts)[0] });
  });
  for (const { script, value } of transaction.outs) psbt.addOutput({ script, value });
  t.equal(publicKeyOf(privateKey), '025476c2e83188368da1ff3e292e7acafcdb3566bb0ad253f62fc70f07aeee6357');
  const { digests, joined } = signWith(privateKey, body(psbt));
  t.same(
    digests.map((digest) => digest.toString('hex')),
    ['c37af31116d1b27caf68aae9e3ac82f1477929014d5b917657d0eb49478cb670'],
  );
  t.equal(
    joined.signatures?.[0]?.encoded,
    '0x304402203609e17b84f6a7d30c80bfa610b5b4542f32a8a0d5447a12fb1366d7f01cc44a0220573a954c4518331561406f90300e8f3358f51928d43c212a8caed02de67eebee',
  );
  t.same(joined.signature, joined.signatures?.[0]);
});

t.test('the example of the Dfns documentation: digest, and the signed PSBT as it is answered', async (t) => {
  const psbt =
    '70736274ff0100710200000001cd290edbff81f3762b1c9a6f6532f5f2d3d1e48a850d4285b8606bbceb96ee790000000000ffffffff020100000000000000160014a40a65b46ff36c53f1afb8e35e25a4c0bcfc99794d25000000000000160014237ad8ba2ffd992f6ebc7ab388e77f00fc87d1c9000000000001011fe425000000000000160014237ad8ba2ffd992f6ebc7ab388e77f00fc87d1c9000000';
  const publicKey = '03e6be69fe373e07962698243fb3d41b5b24e16a461866bd1813afcf9b53e1da6e';
  const rs =
    'e10a3e24bb0b0a5feae39997d05b5d1ce0e123f78c979914ea3394962f7995f6727190270d14e58acbcfa98a765fd4c50b51afb7d1ef8152cd79d562f28a1bbc';
  const { digestsToSign, joinSignatures } = await import('../src/shared/chains/index.ts');
  const type = { scheme: 'ECDSA', curve: 'secp256k1' } as const;
  const { digests, format } = digestsToSign({ type, publicKey, body: body(`0x${psbt}`), network: 'BitcoinTestnet3' });
  t.ok(verify(Buffer.from(publicKey, 'hex'), digests[0] as Buffer, Buffer.from(rs, 'hex')));
  const encoded =
    '0x3045022100e10a3e24bb0b0a5feae39997d05b5d1ce0e123f78c979914ea3394962f7995f60220727190270d14e58acbcfa98a765fd4c50b51afb7d1ef8152cd79d562f28a1bbc';
  const joined = joinSignatures(JSON.parse(JSON.stringify(format)), [{ rs, recid: 0 }], publicKey);
  t.same(joined.signatures, [{ r: `0x${rs.slice(0, 64)}`, s: `0x${rs.slice(64)}`, recid: 0, encoded }]);
  t.equal(
    joined.signedData,
    '0x70736274ff0100710200000001cd290edbff81f3762b1c9a6f6532f5f2d3d1e48a850d4285b8606bbceb96ee790000000000ffffffff020100000000000000160014a40a65b46ff36c53f1afb8e35e25a4c0bcfc99794d25000000000000160014237ad8ba2ffd992f6ebc7ab388e77f00fc87d1c9000000000001011fe425000000000000160014237ad8ba2ffd992f6ebc7ab388e77f00fc87d1c9220203e6be69fe373e07962698243fb3d41b5b24e16a461866bd1813afcf9b53e1da6e483045022100e10a3e24bb0b0a5feae39997d05b5d1ce0e123f78c979914ea3394962f7995f60220727190270d14e58acbcfa98a765fd4c50b51afb7d1ef8152cd79d562f28a1bbc01000000',
  );
});

t.test('every input of the key is signed; bitcoinjs-lib accepts and finalises them', async (t) => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.record({ value: fc.bigInt(1n, 21_000_000n * 100_000_000n), whole: fc.boolean() }), {
        minLength: 1,
        maxLength: 4,
      }),
      async (spends) => {
        const { digests, joined } = signWith(privateKey, body(psbtOf(spends, 1n)));
        t.equal(digests.length, spends.length);
        t.equal(joined.signatures?.length, spends.length);
        const signed = read(joined.signedData);
        if (!signed.validateSignaturesOfAllInputs(verify)) throw new Error('a signature does not verify');
        const transaction = signed.finalizeAllInputs().extractTransaction(true);
        if (transaction.ins.some(({ witness }) => witness.length !== 2)) throw new Error('a witness is missing');
      },
    ),
    { numRuns: 15 },
  );
});

t.test('inputs, fields and signatures of others come back as they were', async (t) => {
  const psbt = psbtOf([{ key: stranger }, {}, { key: stranger, whole: true }]);
  const keyed = { key: Buffer.from('f0abcd', 'hex'), value: Buffer.from('0102', 'hex') };
  const proprietary = { key: Buffer.from('fc0374657374', 'hex'), value: Buffer.from('03', 'hex') };
  psbt.addUnknownKeyValToGlobal(keyed);
  psbt.addUnknownKeyValToInput(0, keyed);
  psbt.addUnknownKeyValToInput(1, proprietary);
  psbt.addUnknownKeyValToOutput(0, keyed);
  const half = read(signWith(stranger, body(psbt)).joined.signedData);
  const whole = read(signWith(privateKey, body(half)).joined.signedData);
  t.ok(whole.validateSignaturesOfAllInputs(verify));
  t.same(whole.data.globalMap.unknownKeyVals, psbt.data.globalMap.unknownKeyVals);
  t.same(whole.data.inputs[0]?.unknownKeyVals, psbt.data.inputs[0]?.unknownKeyVals);
  t.same(whole.data.inputs[1]?.unknownKeyVals, psbt.data.inputs[1]?.unknownKeyVals);
  t.same(whole.data.outputs[0]?.unknownKeyVals, psbt.data.outputs[0]?.unknownKeyVals);
  t.same(whole.data.inputs[0]?.partialSig, half.data.inputs[0]?.partialSig);
  whole.finalizeAllInputs().extractTransaction(true);
});

t.test('a final input is left alone, and the rest is signed', async (t) => {
  const psbt = psbtOf([{ key: stranger }, {}]);
  const half = read(signWith(stranger, body(psbt)).joined.signedData).finalizeInput(0);
  const { digests, joined } = signWith(privateKey, body(half));
  t.equal(digests.length, 1);
  read(joined.signedData).finalizeInput(1).extractTransaction(true);
});

t.test('a PSBT of version 2 (BIP 370) is signed too, and stays one', async (t) => {
  const script = p2wpkhScript(privateKey);
  const unsigned = new Version2({ PSBTVersion: 2 });
  unsigned.addInput({ txid: '11'.repeat(32), index: 0, witnessUtxo: { script, amount: 10n } });
  unsigned.addOutput({ script, amount: 5n });
  const { joined } = signWith(privateKey, body(`0x${Buffer.from(unsigned.toPSBT(2)).toString('hex')}`));
  unsigned.signIdx(Buffer.from(privateKey, 'hex'), 0);
  t.equal(joined.signedData, `0x${Buffer.from(unsigned.toPSBT(2)).toString('hex')}`);
});

t.test('what this key cannot sign as a whole is refused', async (t) => {
  t.match(refusal(psbtOf([{ key: stranger }])), { code: 'BAD_REQUEST', detail: /no input/ });
  const signed = read(signWith(privateKey, body(psbtOf([{}, {}]))).joined.signedData);
  t.match(refusal(signed), { code: 'BAD_REQUEST', detail: /input 0 is signed already/ });
  t.match(refusal(signed.finalizeAllInputs()), { code: 'BAD_REQUEST', detail: /all are final/ });
  const none = psbtOf([{}, {}]);
  none.updateInput(1, { sighashType: Transaction.SIGHASH_NONE });
  t.match(refusal(none), { code: 'UNSUPPORTED', detail: /input 1 asks for another sighash type/ });
  const pubkey = Buffer.from(publicKeyOf(privateKey), 'hex');
  const p2pkh = payments.p2pkh({ pubkey }).output as Uint8Array;
  const nested = payments.p2sh({ redeem: payments.p2wpkh({ pubkey }) }).output as Uint8Array;
  for (const script of [p2pkh, nested])
    t.match(refusal(psbtOf([{}, { script, whole: true }])), { code: 'UNSUPPORTED', detail: /not P2WPKH/ });
});

t.test('amounts that cannot be right are refused', async (t) => {
  t.match(refusal(psbtOf([{ value: 999n }])), { code: 'BAD_REQUEST', detail: /worth more than its inputs/ });
  const lying = psbtOf([{ whole: true }]);
  // The witness output says another amount than the transaction that made it.
  lying.data.inputs[0] = {
    ...lying.data.inputs[0],
    witnessUtxo: { script: p2wpkhScript(privateKey), value: 20_000n },
  };
  t.match(refusal(lying), { code: 'BAD_REQUEST' });
  const other = psbtOf([{ whole: true }, { whole: true }]);
  const [first, second] = other.data.inputs;
  other.data.inputs.splice(0, 2, second as (typeof other.data.inputs)[0], first as (typeof other.data.inputs)[0]);
  t.match(refusal(other), { code: 'BAD_REQUEST', detail: /cannot be read/ }, 'previous transactions of other inputs');
});

t.test('what is no PSBT, or one for another chain, is refused', async (t) => {
  const good = psbtOf([{}]).toHex();
  const wrong: Record<string, string> = {
    empty: '',
    'a transaction': new Transaction().toHex(),
    'cut short': good.slice(0, -2),
    'another magic': `70736275ff${good.slice(10)}`,
    'an odd number of digits': good.slice(1),
  };
  for (const [name, text] of Object.entries(wrong)) t.equal(refusal(text).code, 'BAD_REQUEST', name);
  t.match(refusal(good, { network: 'Ethereum' }), { code: 'UNSUPPORTED', detail: /Psbt for network Ethereum/ });
  t.match(refusal(good, { network: 'Dogecoin' }), { code: 'UNSUPPORTED', detail: /Psbt for network Dogecoin/ });
  t.equal(refusal(good, { network: 'Litecoin', blockchainKind: 'Bitcoin' }).code, undefined, 'Litecoin has P2WPKH too');
  t.equal(refusal(good, { network: 'Bitcoin', blockchainKind: 'Evm' }).code, 'BAD_REQUEST');
});

t.test('a PSBT of more inputs than a request may have digests is refused, and quickly', async (t) => {
  const psbt = new Psbt();
  const script = p2wpkhScript(privateKey);
  for (let index = 0; index < 257; index += 1)
    psbt.addInput({ hash: Buffer.alloc(32, 1), index, witnessUtxo: { script, value: 10n } });
  psbt.addOutput({ script, value: 1n });
  t.match(refusal(psbt), { code: 'BAD_REQUEST', detail: /more than 256 inputs/ });
});
