import type { Refusal } from './refusal.ts';
import type { SignContent, signContent } from './sign-content.ts';

export type ContentCheck = (...request: Parameters<typeof signContent>) => Promise<SignContent | Refusal>;

/**
 * Looks into what a request signs. The code for that knows all chains and is large: it is loaded when it is needed first,
 * so that a worker that looks into nothing does without its memory and its time to start.
 * @param soon loads it now, so that no request waits for it.
 */
export function createContentCheck(soon: boolean): ContentCheck {
  const load = () => import('./sign-content.ts');
  let loaded = soon ? load() : undefined;
  // Whoever needs it is told.
  loaded?.catch(() => {});
  return async (...request) => {
    loaded ??= load();
    return (await loaded).signContent(...request);
  };
}
