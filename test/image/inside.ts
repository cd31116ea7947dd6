import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Program } from '../../scripts/local/processes.ts';

/**
 * Runs a program inside a root file system as a container runtime would: its own mounts, the root read-only, a user that is
 * not root, no access to anything else. The folders that it works in are seen under their own paths.
 */
export function programInside(
  root: string,
  program: readonly string[],
  options: { readonly directory: string; readonly shared: readonly string[]; readonly own: string },
): Program {
  const { directory, shared, own } = options;
  const script = join(directory, 'inside.sh');
  const mounts = [own, ...shared].map((path) => `mkdir -p "$root${path}"; mount --bind "${path}" "$root${path}"`);
  writeFileSync(
    script,
    `#!/bin/sh
set -e
root=${root}
# What the test writes as root is the program's own; the database's folder is not.
find "${own}" -mindepth 1 -name postgres -prune -o -exec chown -h 10001:10001 {} +
chown 10001:10001 "${own}"
export root
exec unshare --mount --propagation private sh -c '
mount --bind "$root" "$root"
mount -t tmpfs tmpfs "$root/tmp"
mount -t proc proc "$root/proc"
mount --bind /dev "$root/dev"
touch "$root/etc/hosts"
mount --bind /etc/hosts "$root/etc/hosts"
${mounts.join('\n')}
mount -o remount,bind,ro "$root"
exec chroot --userspec=10001:10001 "$root" env -i PATH=/usr/local/bin:/usr/bin:/bin HOME=/tmp HSM_DRIVER_UNPACK_DIRECTORY=/tmp/unpacked ${program.join(' ')} "$@"
' sh "$@"
`,
  );
  chmodSync(script, 0o755);
  return [script];
}
