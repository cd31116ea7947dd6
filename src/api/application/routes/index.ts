import type { Route, RouteTools } from '../route.ts';
import { createKey } from './create-key.ts';
import { createSignature } from './create-signature.ts';
import { getSignature } from './get-signature.ts';
import { signUserAction } from './sign-user-action.ts';
import { startUserAction } from './start-user-action.ts';

/** Every call of the application API: one small file each. */
export function routes(tools: RouteTools): Route[] {
  return [startUserAction, signUserAction, createKey, createSignature, getSignature].map((make) => make(tools));
}
