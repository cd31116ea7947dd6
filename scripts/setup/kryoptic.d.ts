/** Where a build with today's recipe is kept, whether it was made or not. */
export function kryopticModule(): string;
export function buildKryoptic(report: (line: string) => void): Promise<string>;
