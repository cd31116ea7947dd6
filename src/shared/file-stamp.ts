import { statSync } from 'node:fs';

/**
 * A word for a file as it is now, other when it was written or replaced, without reading it: the primary must never see
 * a PIN. Links are followed: Kubernetes replaces a secret by pointing a link elsewhere.
 */
export function fileStamp(file: string): string {
  try {
    const { ino, size, mtimeMs } = statSync(file);
    return `${ino} ${size} ${mtimeMs}`;
  } catch {
    return missingFile;
  }
}

export const missingFile = 'missing';
