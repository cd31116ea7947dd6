import { fileStamp, missingFile } from '../shared/file-stamp.ts';
import type { Log } from '../shared/log.ts';
import type { PinClear } from './cluster/pin-clears.ts';
import type { SlotKeeper } from './slot-keeper.ts';
import { mayShareCounter, pinGroup } from './slot-token.ts';

/**
 * Slots that are latched because of their PIN file are tried again when that file changes, or when an operator has cleared
 * their PIN somewhere in the cluster: by themselves and one at a time. Of the slots that share a PIN counter one proves
 * the PIN, the others wait for it. The primary looks at the file's stamp only.
 */
export interface PinWatch {
  /** One look, once a second. */
  look(): void;
}

export function createPinWatch(
  keepers: () => readonly SlotKeeper[],
  clears: (withinMs: number) => Promise<readonly PinClear[]>,
  log: Log,
): PinWatch {
  /** Stamps of the look before: a file that is still being written is not tried half-written. */
  let before = new Map<string, string>();

  function isSettled(file: string, stamp: string): boolean {
    return stamp !== missingFile && before.get(file) === stamp;
  }

  let asking = false;

  /** Those that latched before an order was given. A slot that latches again after it waits for the next one. */
  async function lookForClears(latched: readonly SlotKeeper[]): Promise<void> {
    if (asking || latched.length === 0) return;
    asking = true;
    try {
      const found = await clears(Math.max(...latched.map(latchedMs)));
      for (const keeper of latched.filter((one) => one.waitsForPin)) {
        const { configuration, record } = keeper;
        const order = found.find(
          (one) => one.ageMs < latchedMs(keeper) && mayShareCounter(configuration, record.facts, one),
        );
        if (order === undefined) continue;
        log.info({ slot: configuration.name }, 'an operator cleared the PIN; the slot is tried again');
        keeper.replace(configuration, 'an operator cleared its PIN');
      }
    } catch {
      // Without a database there is no first login either.
    } finally {
      asking = false;
    }
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
      void lookForClears(latched.filter((keeper) => keeper.waitsForPin));
    },
  };
}

function latchedMs({ record }: SlotKeeper): number {
  return performance.now() - record.sinceMs;
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
