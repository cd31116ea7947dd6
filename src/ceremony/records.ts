import type { Delivered } from './deliver.ts';
import type { TierB } from './examination.ts';
import type { Participant } from './participants.ts';
import type { People } from './people.ts';
import { methodText } from './wrap-choice.ts';

/** Sentences of the protocol that several steps write. */

export function tokenRecord({ token, info }: Participant): string {
  return `token ${token.name}: “${info.label}”, serial ${info.serial}, ${info.manufacturer} ${info.model}`;
}

export function deliveryRecord(
  { participant, purpose, transportKeySha256, wrapMethod }: Omit<Delivered, 'notTaken'>,
  { attended }: People,
): string {
  const who = attended ? 'compared by the second person' : 'compared by the program only';
  return `${participant.token.name} (${purpose}) received the keys under its transport key, SHA-256 ${transportKeySha256}, ${who}; it wraps with ${methodText(wrapMethod)}`;
}

export function tierBRecord({ token }: Pick<Participant, 'token'>, { notTaken, allows }: TierB): string {
  const list = [...notTaken.map((name) => `no ${name}`), ...allows.map((what) => `allows ${what}`)];
  return `${token.name} is of tier B, which the configuration allows: whoever has its PIN and a wrapped key can extract that key (${list.join('; ')})`;
}
