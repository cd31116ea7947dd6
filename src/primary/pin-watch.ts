import { fileStamp, missingFile } from '../shared/file-stamp.ts';
import type { Log } from '../shared/log.ts';
import type { SlotKeeper } from './slot-keeper.ts';
import { pinGroup } from './slot-token.ts';

/**
 * Slots that are latched because of their PIN file are tried again when that file changes, by themselves and one at a
 * time: of the slots that share a PIN counter one proves the new PIN, the others wait for it. The primary looks at the
 * file's stamp only.
 */
export interface PinWatch {
  /** One look, once a second. */
  look(): void;
}

export function createPinWatch(keepers: () => readonly SlotKeeper[], log: Log): PinWatch {
  /** Stamps of the look before: a file that is still being written is not tried half-written. */
  let before = new Map<string, string>();

  function isSettled(file: string, stamp: string): boolean {
    return stamp !== missingFile && before.get(file) === stamp;
  }

  return {
    look() {
      const latched = keepers().filter((keeper) => keeper.waitsForPin);
      const stamps = new Map(latched.map(({ configuration: { pinFile } }) => [pinFile, fileStamp(pinFile)]));
      const busy = new Set(
        keepers()
          .filter(({ record: { state } }) => state === 'starting' || state === 'probing')
          .map(({ configuration }) => pinGroup(configuration)),
      );
      for (const keeper of latched) {
        const { pinFile, name } = keeper.configuration;
        const group = pinGroup(keeper.configuration);
        const stamp = stamps.get(pinFile) as string;
        if (stamp === keeper.pinStamp || !isSettled(pinFile, stamp) || busy.has(group)) continue;
        busy.add(group);
        log.info({ slot: name }, 'PIN file changed; the slot is tried again');
        keeper.replace(keeper.configuration, 'its PIN file changed');
      }
      before = stamps;
    },
  };
}

/** After `keeper` was latched by its PIN: whoever shares the file and the counter need not try the same again. */
export function sharePinVerdict(keeper: SlotKeeper, all: readonly SlotKeeper[]): void {
  for (const other of all) {
    const same =
      other !== keeper &&
      other.waitsForPin &&
      other.configuration.pinFile === keeper.configuration.pinFile &&
      pinGroup(other.configuration) === pinGroup(keeper.configuration);
    if (same) other.notePinStamp(keeper.pinStamp);
  }
}
