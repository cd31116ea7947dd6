import { statSync } from 'node:fs';
import { dirname } from 'node:path';
import { startChild } from '../ceremony/child.ts';
import type { CeremonyFile } from '../shared/ceremony-file.ts';
import type { SlotConfiguration } from '../shared/configuration/sections.ts';
import { furtherTokenFindings, tokenFinding } from './ceremony.ts';
import { type Check, type Finding, good, problem, warning } from './check.ts';
import type { TokenLook, TokenSeen } from './token-calls.ts';

/** Each slot's library and token, without a login: its keys are proven by a worker at its start, and by `qualify`. */
export function tokenChecks(
  slots: readonly SlotConfiguration[],
  ceremony: () => CeremonyFile,
  further: () => readonly CeremonyFile[],
): readonly Check[] {
  return slots.map((slot) => ({
    name: `HSM ${slot.name}`,
    needs: ['files', 'ceremony file'],
    look: async () => [libraryFile(slot.module), ...(await token(slot, ceremony(), further()))],
  }));
}

/** Whoever can replace the library is given the PIN at the next start. */
function libraryFile(module: string): Finding {
  const exposed = [module, dirname(module)].filter((path) => (statSync(path).mode & 0o022) !== 0);
  if (exposed.length === 0) return good('only the owner of the PKCS#11 library can change it');
  return warning(
    `others than its owner can replace the PKCS#11 library (${exposed.join(', ')})`,
    'Take write permission from group and others: the library is given the PIN',
  );
}

async function token(
  slot: SlotConfiguration,
  ceremony: CeremonyFile,
  further: readonly CeremonyFile[],
): Promise<readonly Finding[]> {
  const child = startChild<TokenLook>('../doctor/token-process', `slot ${slot.name}`, slot.environment);
  try {
    const { module, tokenLabel, tokenSerial } = slot;
    const seen = await child.ask('look', { module, tokenLabel, tokenSerial });
    const { label, serial, model, firmware, library } = seen;
    return [
      good(`token “${label}”, serial ${serial}, ${model}, firmware ${firmware}, through ${library.trim()}`),
      pinFinding(seen, slot.name),
      tokenFinding(ceremony, serial),
      ...furtherTokenFindings(further, serial),
    ];
  } finally {
    await child.stop();
  }
}

function pinFinding({ pin }: TokenSeen, slot: string): Finding {
  const clear = `log in once by hand with the right PIN, then run hsm-driver pin clear --slot ${slot}`;
  switch (pin) {
    case 'good':
      return good('no wrong PIN was tried since the last login');
    case 'count low':
      return warning('a wrong PIN was tried since the last login', `Find out by whom; ${clear}`);
    case 'final try':
      return problem('the next wrong PIN locks the token', `No process tries it now; ${clear}`);
    case 'locked':
      return problem('the token is locked after wrong PINs', `The security officer unlocks it; then ${clear}`);
    case 'not set':
      return problem('the token has no user PIN', 'The security officer sets it (C_InitPIN, or the vendor’s tool)');
    default:
      throw new Error(`unknown: ${pin satisfies never}`);
  }
}
