/**
 * The wanted port of 127.0.0.1 where it is free, else any other. On Linux nobody else who asks here is given the same one
 * while this process lives.
 */
export function freePort(wanted?: number, among?: { readonly lowest: number; readonly above: number }): Promise<number>;
