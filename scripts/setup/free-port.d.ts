/** The wanted port of 127.0.0.1 where it is free, else any other. */
export function freePort(wanted?: number): Promise<number>;
