/** How the signature of a BIP 322 message is written; see bitcoin-message.ts. */
export const messageFormats = ['Simple', 'Full'] as const;
export type MessageFormat = (typeof messageFormats)[number];
