import type { WrapMethod } from '../shared/wrap-algorithms.ts';
import type { CeremonyKey, KeyPurpose } from '../worker/hsm/delivery/keys.ts';
import type { KeySource } from '../worker/hsm/delivery/origin.ts';
import type { Transport } from '../worker/hsm/delivery/target.ts';
import { at, each, type Participant } from './participants.ts';
import type { People } from './people.ts';
import { chosenMethods, methodFor } from './wrap-choice.ts';

/**
 * Keys travel from the backup token to others, never outside a token in the clear. The order of the steps is what keeps
 * them safe:
 *
 *   transport   every target makes an RSA-4096 key pair that lives as long as its process
 *   compare     the origin takes in the public keys; the second person compares what is read here with what is read there
 *   distribute  the origin makes the keys (or finds its stored ones) and wraps them for each target
 *   receive     every target unwraps them to stay, under the attributes of its purpose, which cannot be changed again
 */
export interface DeliveryOrder {
  /** The backup token. It may be a target too: what it keeps arrives like everywhere else. */
  readonly origin: Participant;
  readonly targets: readonly { readonly participant: Participant; readonly purpose: KeyPurpose }[];
  readonly keys: readonly CeremonyKey[];
  readonly source: KeySource;
  /** How the master key wraps, where it exists already; else the best that all targets can do. */
  readonly wrapMethod?: WrapMethod;
}

/** What one target has now, in the order of the targets. */
export interface Delivered {
  readonly participant: Participant;
  readonly purpose: KeyPurpose;
  readonly transportKeySha256: string;
  readonly wrapMethod: WrapMethod;
  readonly notTaken: readonly string[];
}

/** @throws CEREMONY_REFUSED, Pkcs11 faults as coded errors. What arrived is in `mayHold`, for whoever must remove it. */
export async function deliverKeys(
  { origin, targets, keys, source, wrapMethod }: DeliveryOrder,
  people: People,
): Promise<readonly Delivered[]> {
  const participants = targets.map(({ participant }) => participant);
  await each(participants, ({ child }) => child.ask('refuse-taken', keys));
  const transports = await each(participants, ({ child }) => child.ask('transport', undefined));
  const methods = wrapMethods(participants, transports, wrapMethod);

  const readOnOrigin = await origin.child.ask('import-transports', transports);
  for (const [index, { token }] of participants.entries()) {
    await people.compare({
      target: token.name,
      readOnTarget: at(transports, index).sha256,
      readOnOrigin: at(readOnOrigin, index),
    });
  }
  const deliveries = await origin.child.ask('distribute', { keys, source });

  const received = await each(targets.map(withToken), ({ participant, purpose, token }, index) => {
    participant.mayHold = [...participant.mayHold, ...keys];
    return participant.child.ask('receive', {
      delivery: at(deliveries, index),
      keys,
      purpose,
      wrapMethod: at(methods, index),
      allowTierB: token.allowTierB,
    });
  });
  return targets.map(({ participant, purpose }, index) => ({
    participant,
    purpose,
    transportKeySha256: at(transports, index).sha256,
    wrapMethod: at(methods, index),
    notTaken: at(received, index).notTaken,
  }));
}

function withToken(target: DeliveryOrder['targets'][number]) {
  return { ...target, token: target.participant.token };
}

function wrapMethods(
  participants: readonly Participant[],
  transports: readonly Transport[],
  pinned: WrapMethod | undefined,
): readonly WrapMethod[] {
  const tokens = participants.map(({ token }, index) => ({
    name: token.name,
    wrapMethods: at(transports, index).wrapMethods,
  }));
  return pinned === undefined ? chosenMethods(tokens) : tokens.map((one) => methodFor(one, pinned));
}
