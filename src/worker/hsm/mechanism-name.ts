import { CKM } from './constants.ts';

const names: ReadonlyMap<number, string> = new Map(Object.entries(CKM).map(([name, number]) => [number, name]));

/** The standard's name of a mechanism that this program knows; else its number in hex. */
export function mechanismName(number: number): string {
  const name = names.get(number);
  return name === undefined ? `0x${number.toString(16).toUpperCase()}` : `CKM_${name}`;
}
