import { stepCommand } from './rotation-step.ts';

export const command = stepCommand(
  'pause',
  'let a rotation rest: rows stay as they are, both keys stay in use',
  'paused',
);
