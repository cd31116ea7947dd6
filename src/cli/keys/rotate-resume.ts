import { stepCommand } from './rotation-step.ts';

export const command = stepCommand('resume', 'let a paused rotation go on', 'goes on');
