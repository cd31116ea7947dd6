import { existsSync, writeFileSync } from 'node:fs';

const filter = '/proc/self/coredump_filter';

/**
 * From here on a core dump of this process, and of every process it starts, holds none of its memory (core(5),
 * coredump_filter; inherited over fork and exec): a worker that a vendor's library crashes leaves no PIN on a disk.
 * Where the kernel has no such file, the service's limit on core files must do it; `doctor` looks.
 */
export function leaveNoMemoryInCoreDumps(): void {
  if (!existsSync(filter)) return;
  try {
    writeFileSync(filter, '0');
  } catch {
    // A container may mount /proc read-only.
  }
}
