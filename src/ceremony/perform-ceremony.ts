import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import type { CeremonyFile } from '../shared/ceremony-file.ts';
import type { CeremonyConfiguration } from '../shared/configuration/ceremony.ts';
import { checkSecretFile } from '../shared/configuration/secret-file.ts';
import { CodedError } from '../shared/errors.ts';
import { curves } from '../shared/keys.ts';
import { uncompressedPoint } from '../worker/hsm/encoding.ts';
import { integrityKeyId, integrityKeyText } from '../worker/hsm/integrity-key-id.ts';
import { startChild } from './child.ts';
import { createKeyNames, createMasterKeyId, type KeyNames } from './key-names.ts';
import {
  at,
  chosenMethods,
  compareTransportKeys,
  each,
  methodText,
  type Participant,
  refuseSameToken,
} from './participants.ts';
import { writeProtocolFile } from './protocol-file.ts';
import type { MadeKey, TokenCalls } from './token-calls.ts';

/**
 * The ceremony: one new master key and one new integrity key for all tokens of a key store, never outside an HSM in the
 * clear. This process coordinates and never loads a module; each token has a process of its own. The order of the steps
 * is what keeps the keys safe, so it is written here as one list:
 *
 *   open        every token, logged in, without keys of these names
 *   transport   every token makes an RSA-4096 key pair that lives as long as its process
 *   distribute  the origin makes the two keys, wraps them for each token, destroys them: none is ever stored extractable
 *   receive     every token, the origin included, unwraps them under attributes that cannot be changed again
 *   make        attestation key and one canary per curve that all tokens can do, on the origin
 *   check       every token: same keys, opens what the origin wrapped, refuses what a thief would try
 *   write       the protocol file, which holds no secret
 *
 * Whatever fails, what this ceremony put on tokens is removed.
 * @param say one line of the protocol for people, without its line end.
 * @throws CEREMONY_REFUSED, and what opening a token throws.
 */
export async function performCeremony(
  configuration: CeremonyConfiguration,
  say: (line: string) => void,
): Promise<CeremonyFile> {
  const { keyStore, ceremonyFile, tokens } = configuration;
  if (existsSync(ceremonyFile)) {
    throw new CodedError(
      'CEREMONY_REFUSED',
      `${ceremonyFile} exists: this key store has its keys. Another ceremony needs another file`,
    );
  }
  for (const token of tokens) checkSecretFile(token.pinFile, `token ${token.name} pinFile`);

  const names = createKeyNames(keyStore);
  const participants: Participant[] = [];
  const interruption = onInterruption();
  try {
    for (const token of tokens) {
      const child = startChild<TokenCalls>('token-process', `token ${token.name}`, token.environment);
      participants.push({ token, child, mayHoldKeys: false });
    }
    const file = await Promise.race([steps(configuration, names, participants, say), interruption.promise]);
    writeProtocolFile(ceremonyFile, file);
    say(`protocol file: ${ceremonyFile}`);
    return file;
  } catch (error) {
    const left = await removeEverything(participants, names);
    if (left.length === 0) throw error;
    const why = error instanceof CodedError ? `${error.code}: ${error.detail}` : String(error);
    throw new CodedError('CEREMONY_REFUSED', `${why}. ${left.join('. ')}`, { cause: error });
  } finally {
    interruption.release();
    await Promise.all(participants.map(({ child }) => child.stop()));
  }
}

/** Ctrl-C must not leave keys behind: it fails the ceremony, which then removes them. The children ignore it. */
function onInterruption(): { readonly promise: Promise<never>; release(): void } {
  const { promise, reject } = Promise.withResolvers<never>();
  promise.catch(() => {}); // when the ceremony has failed by itself already
  const interrupt = (signal: NodeJS.Signals): void =>
    reject(new CodedError('CEREMONY_REFUSED', `interrupted by ${signal}`));
  for (const signal of interruptions) process.on(signal, interrupt);
  return {
    promise,
    release: () => {
      for (const signal of interruptions) process.off(signal, interrupt);
    },
  };
}

const interruptions = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

async function steps(
  { keyStore }: CeremonyConfiguration,
  names: KeyNames,
  participants: readonly Participant[],
  say: (line: string) => void,
): Promise<CeremonyFile> {
  const [origin] = participants;
  if (origin === undefined) throw new CodedError('CEREMONY_REFUSED', 'no token takes part');
  const masterKeyId = createMasterKeyId();
  say(`ceremony for key store ${keyStore}: master key ${masterKeyId}`);

  const infos = await each(participants, ({ child, token }) => child.ask('open', { token, names }));
  refuseSameToken(participants, infos);
  participants.forEach(({ token }, index) => {
    const info = at(infos, index);
    say(
      `token ${token.name}: “${info.label}”, serial ${info.serial}, ${info.manufacturer} ${info.model}${index === 0 ? ' (origin)' : ''}`,
    );
  });

  const transports = await each(participants, ({ child }) => child.ask('transport', undefined));
  const wrapMethods = chosenMethods(participants, transports);
  const deliveries = await origin.child.ask('distribute', transports);
  compareTransportKeys(participants, transports, deliveries);
  participants.forEach(({ token }, index) => {
    say(
      `transport key of ${token.name}: SHA-256 ${at(transports, index).sha256}, same on the origin (RSA-OAEP ${at(deliveries, index).hash})`,
    );
  });

  await each(participants, (participant, index) => {
    participant.mayHoldKeys = true;
    return participant.child.ask('receive', {
      delivery: at(deliveries, index),
      wrapMethod: at(wrapMethods, index),
    });
  });
  say(
    `both keys are on ${participants.length} token${participants.length === 1 ? '' : 's'}; wallet keys are wrapped with ${[...new Set(wrapMethods.map(methodText))].join(', ')}`,
  );

  const probed = await each(participants, ({ child }) => child.ask('curves', undefined));
  const common = curves.filter((curve) => probed.every(({ works }) => works.includes(curve)));
  for (const [index, { failures }] of probed.entries()) {
    for (const failure of failures) say(`token ${at(participants, index).token.name} cannot do ${failure}`);
  }
  if (!common.includes('P-256')) {
    throw new CodedError(
      'CEREMONY_REFUSED',
      `attestation needs P-256 on every token (${probed.flatMap(({ failures }) => failures).join('; ')})`,
    );
  }

  const attestation = await origin.child.ask('make', 'P-256');
  const canaries: MadeKey[] = [];
  for (const curve of common) canaries.push(await origin.child.ask('make', curve));
  say(`attestation key: ${attestation.publicKey}`);
  for (const { curve, publicKey } of canaries) say(`canary ${curve}: ${publicKey}`);

  const nonce = randomBytes(32);
  const macs = await each(participants, async ({ child }) => {
    for (const key of [attestation, ...canaries]) await child.ask('prove', key);
    for (const key of canaries) await child.ask('strictness', key);
    return child.ask('hmac', nonce);
  });
  if (!macs.every((mac) => mac.equals(at(macs, 0)))) {
    throw new CodedError(
      'CEREMONY_REFUSED',
      'the tokens make different HMACs of one nonce: they do not hold the same integrity key',
    );
  }
  const integrityId = integrityKeyId(await origin.child.ask('hmac', integrityKeyText));
  say(`integrity key ${integrityId}`);
  say(
    'checked on every token: same keys; opens and signs with what the origin wrapped; refuses extraction, lax unwrapping and changes',
  );

  const wrapMechanism = at(wrapMethods, 0).mechanism;
  return {
    version: 1,
    keyStore,
    createdAt: new Date().toISOString(),
    masterKey: { id: masterKeyId, ...names.masterKey, wrapAlgorithm: at(wrapMethods, 0).algorithm, wrapMechanism },
    integrityKey: { id: integrityId, ...names.integrityKey, algorithm: 'HMAC-SHA-256' },
    attestationKey: {
      publicKey: uncompressedPoint('P-256', attestation.publicKey).toString('hex'),
      blob: attestation.blob.toString('base64'),
    },
    canaries: canaries.map(({ curve, publicKey, blob }) => ({ curve, publicKey, blob: blob.toString('base64') })),
    tokens: participants.map(({ token }, index) => {
      const { label, serial, manufacturer, model } = at(infos, index);
      const { sha256: transportKeySha256 } = at(transports, index);
      const { mechanism } = at(wrapMethods, index);
      const own = mechanism === wrapMechanism ? {} : { wrapMechanism: mechanism };
      return { slot: token.name, label, serial, manufacturer, model, transportKeySha256, ...own };
    }),
  };
}

/** @returns what could not be removed, as sentences for the operator. */
async function removeEverything(participants: readonly Participant[], names: KeyNames): Promise<string[]> {
  // First all token processes end: session objects go with them, and a new login must not race with an old one.
  await Promise.all(participants.map(({ child }) => child.stop()));
  const left: string[] = [];
  for (const { token, mayHoldKeys } of participants) {
    if (!mayHoldKeys) continue;
    const child = startChild<TokenCalls>('token-process', `token ${token.name}`, token.environment);
    try {
      await child.ask('clean-up', { token, names });
    } catch (error) {
      const ids = `${names.masterKey.ckaId} and ${names.integrityKey.ckaId}`;
      left.push(
        `On token ${token.name} objects with CKA_ID ${ids} may be left (${(error as Error).message}): remove them by hand`,
      );
    } finally {
      await child.stop();
    }
  }
  return left;
}
