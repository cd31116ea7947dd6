import type { TokenConfiguration } from '../shared/configuration/sections.ts';

/** What the process that looks at one token is asked. */
export type TokenLook = {
  readonly look: {
    readonly ask: Pick<TokenConfiguration, 'module' | 'tokenLabel' | 'tokenSerial'>;
    readonly answer: TokenSeen;
  };
};

/** What a token says without anybody being logged in. */
export interface TokenSeen {
  readonly library: string;
  readonly label: string;
  readonly serial: string;
  readonly model: string;
  readonly firmware: string;
  readonly pin: 'good' | 'count low' | 'final try' | 'locked' | 'not set';
}
