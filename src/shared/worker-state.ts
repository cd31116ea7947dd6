/** The states of a slot as its worker reports them; the primary adds what it sees from outside. */
export const workerStates = ['starting', 'probing', 'ready', 'suspect', 'stopping'] as const;
export type WorkerState = (typeof workerStates)[number];
