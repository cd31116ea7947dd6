import { createRequire } from 'node:module';

/** libsecp256k1. Its native binding is named, because the package's own entry falls back to JavaScript without a word. */
export const libsecp256k1 = createRequire(import.meta.url)('secp256k1/bindings.js') as typeof import('secp256k1');
