import type { Exchange } from '../../ceremony/by-file/deliver-by-file.ts';
import type { CommandInput, CommandOption } from '../command.ts';

/** The steps of a ceremony on two machines say which token, and where the files are that travel. */
export const exchangeOptions: readonly CommandOption[] = [
  { name: 'token', summary: 'name of the token on the other machine', required: true, kind: 'text' },
  { name: 'folder', summary: 'folder of the files that travel, e.g. a stick', required: true, kind: 'text' },
];

export function exchangeOf({ text }: CommandInput): Exchange {
  return { token: text.get('token') ?? '', folder: text.get('folder') ?? '' };
}
