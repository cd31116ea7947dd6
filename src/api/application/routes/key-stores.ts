import { z } from 'zod';
import { plainRoute } from '../route.ts';

export const listKeyStores = plainRoute({
  method: 'GET',
  path: '/key-stores',
  summary: 'List the key stores',
  permission: 'KeyStores:Read',
  answer: z.object({
    items: z.array(
      z.object({ id: z.string(), kind: z.literal('Hsm'), name: z.string().optional(), primary: z.boolean() }),
    ),
  }),
  async respond(_call, { configuration }) {
    return {
      items: configuration.keyStores.map(({ id, name, primary }) => ({
        id,
        kind: 'Hsm',
        ...(name === undefined ? {} : { name }),
        primary,
      })),
    };
  },
});

/** Signers hold the key shares of MPC stores: an HSM store has none. */
export const listSigners = plainRoute({
  method: 'GET',
  path: '/signers',
  summary: 'List the signers of key shares: there are none',
  permission: 'Signers:ListSigners',
  answer: z.object({ clusters: z.array(z.never()) }),
  async respond() {
    return { clusters: [] };
  },
});
