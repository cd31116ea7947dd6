/** A SHA-256 as people read it out: in groups of four. */
export function inFours(digest: string): string {
  return digest.match(/.{4}/g)?.join(' ') ?? digest;
}
