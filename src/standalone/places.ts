import { homedir } from 'node:os';
import { join } from 'node:path';

/**
 * Where the program's files may go, best first: what a service manager made for it, what the user has for such things, and
 * a folder for temporary files. It must allow execution (not `noexec`): libraries are mapped from it.
 */
export function unpackPlaces(environment: NodeJS.ProcessEnv, userId: number): readonly string[] {
  const { HSM_DRIVER_UNPACK_DIRECTORY: asked, CACHE_DIRECTORY: service, XDG_CACHE_HOME: cache, TMPDIR } = environment;
  if (asked !== undefined && asked !== '') return [asked];
  return [
    // systemd may name several.
    ...(service === undefined || service === '' ? [] : [join(service.split(':')[0] ?? service, 'program')]),
    join(cache !== undefined && cache !== '' ? cache : join(homedir(), '.cache'), 'hsm-driver'),
    join(TMPDIR !== undefined && TMPDIR !== '' ? TMPDIR : '/tmp', `hsm-driver-${userId}`),
  ];
}
