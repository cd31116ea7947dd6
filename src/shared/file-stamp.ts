import { statSync } from 'node:fs';

/**
 * A word for a file as it is now, other when it was written, replaced, or given other rights, without reading it: the
 * primary must never see a PIN. Links are followed: Kubernetes replaces a secret by pointing a link elsewhere.
 */
export function fileStamp(file: string): string {
  try {
    const { ino, size, mtimeMs, mode } = statSync(file);
    return `${ino} ${size} ${mtimeMs} ${mode}`;
  } catch {
    return missingFile;
  }
}

export const missingFile = 'missing';
