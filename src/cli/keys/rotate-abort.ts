import { stepCommand } from './rotation-step.ts';

export const command = stepCommand(
  'abort',
  'end a rotation before all keys were moved: both keys stay in use',
  'ended; both keys stay in use. To go back, rotate in the other direction',
);
