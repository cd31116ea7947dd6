import type { WrapMethod } from '../shared/wrap-algorithms.ts';
import { mechanismName } from '../worker/hsm/mechanism-name.ts';
import type { Identity, Report, SlotReport } from './report.ts';
import type { Tier } from './verdict.ts';

/** The report as people read it, and hand it to an auditor. */
export function reportText({ at, keyStore, slots, portability }: Report): string {
  const portable = portability.map(
    ({ from, to, curve, portable, why }) =>
      `  ${curve.padEnd(10)} ${from} → ${to}: ${portable ? 'opens and signs' : `NOT PORTABLE (${why})`}`,
  );
  const tail = portable.length === 0 ? [] : ['Keys made on one slot and opened on another:', ...portable, ''];
  return [`Qualification of key store ${keyStore}, ${at}`, '', ...slots.flatMap(slotText), ...tail].join('\n');
}

const tiers: Readonly<Record<Tier, string>> = {
  A: 'tier A: the master key’s template is enforced; PIN and blob together do not give a private key',
  B: 'tier B: works, but somebody with the PIN and a blob can extract the key in it, or it could not be ruled out',
  unfit: 'UNFIT',
};

function slotText(slot: SlotReport): string[] {
  const { library, token, wraps, attacks, sessions, verdict } = slot;
  const limit =
    sessions.refusal === undefined ? `${sessions.opened} or more` : `${sessions.opened} (then ${sessions.refusal})`;
  return [
    `Slot ${slot.name}: ${tiers[verdict.tier]}`,
    ...verdict.reasons.map((reason) => `  - ${reason}`),
    `  library     ${slot.module}`,
    `              ${library.manufacturer}, ${library.description} ${library.version}, Cryptoki ${library.cryptoki}`,
    `  token       “${token.label}”, serial ${token.serial}, ${token.manufacturer} ${token.model}, firmware ${token.firmware}`,
    `  advertises  ${slot.mechanisms.map(mechanismName).sort().join(' ')}`,
    `  identity    ${identityText(slot.identity)}`,
    `  sessions    ${limit}`,
    `  reconnect   ${slot.reconnectMs} ms from a new process to its first signature`,
    `  HMAC        ${wraps.hmac ? 'HMAC-SHA-256 works' : 'HMAC-SHA-256 does not work'}`,
    '',
    '  curve and wrap mechanism, by a round trip (generate, wrap, unwrap, sign, verify):',
    ...wraps.rows.map((row) => {
      const method = { algorithm: row.wrapAlgorithm, mechanism: row.wrapMechanism };
      return `  ${row.curve.padEnd(10)} ${methodName(method).padEnd(22)} ${row.works ? `works${confirmation(slot, method)}` : row.failure}`;
    }),
    ...(attacks?.underTemplate ?? []).flatMap(({ curve, works, failure }) =>
      works ? [] : [`  ${curve.padEnd(10)} not with the master key’s template: ${failure}`],
    ),
    ...(attacks === undefined ? [] : [`  P-384      ${p384Text(attacks)} (no curve of this driver)`]),
    '',
    ...(attacks === undefined ? [] : attackText(attacks)),
    ...(slot.method === undefined ? [] : rateText(slot, slot.method)),
  ];
}

function confirmation({ wraps: { confirmed } }: SlotReport, method: WrapMethod): string {
  if ('refusal' in confirmed) return '; what the number means was not confirmed';
  const named = confirmed.some(
    ({ algorithm, mechanism }) => algorithm === method.algorithm && mechanism === method.mechanism,
  );
  return named ? '' : '; NOT what it is called: OpenSSL does not open its blobs';
}

function p384Text({ p384: { works, failure } }: NonNullable<SlotReport['attacks']>): string {
  return works ? 'works' : (failure ?? 'does not work');
}

function attackText({ notTaken, attacks }: NonNullable<SlotReport['attacks']>): string[] {
  const made = notTaken.length === 0 ? 'in full' : `without ${notTaken.join(', ')}`;
  return [
    `  attacks on a throw-away session key with the master key’s template (taken ${made}):`,
    ...attacks.map(
      ({ name, refused, answer }) =>
        `  ${(refused ? 'refused' : 'POSSIBLE').padEnd(10)} ${name}${refused ? ` (${answer})` : ''}`,
    ),
    '',
  ];
}

function rateText({ rates }: SlotReport, method: WrapMethod): string[] {
  if (rates.length === 0) return [];
  const rows = rates.map(({ curve, threads, generateAndWrap, unwrapSignDestroy, signKept }) => {
    const numbers = [threads, generateAndWrap, unwrapSignDestroy, signKept].map((one) => String(one).padStart(9));
    return `  ${curve.padEnd(10)} ${numbers.join(' ')}`;
  });
  const head = ['threads', 'gen+wrap', 'sign', 'kept key'].map((one) => one.padStart(9)).join(' ');
  return [
    `  operations per second under ${methodName(method)}; “sign” is unwrap, sign, destroy:`,
    `  ${''.padEnd(10)} ${head}`,
    ...rows,
    '',
  ];
}

function identityText(identity: Identity): string {
  switch (identity.state) {
    case 'proven':
      return `holds ${identity.masterKeyId} (canaries: ${identity.curves.join(', ')})`;
    case 'not proven':
      return identity.code.startsWith('MASTER_KEY_')
        ? `does NOT hold ${identity.masterKeyId}: ${identity.why}`
        : `NOT proven to hold ${identity.masterKeyId}: ${identity.why}`;
    case 'not checked':
      return `not checked: ${identity.why}`;
    default:
      return identity satisfies never;
  }
}

function methodName({ algorithm, mechanism }: WrapMethod): string {
  return `${algorithm} 0x${mechanism.toString(16).toUpperCase()}`;
}
