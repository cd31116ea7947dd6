import { nextKeyCommand } from './ceremony-next-key.ts';

export const command = nextKeyCommand('integrity key');
