/**
 * The maintenance queues, as data: `hsm-driver migrate` makes them and their schedules, each primary works on them, and
 * `hsm-driver jobs` lists them. pg-boss keeps the jobs in a schema of its own in the driver database.
 */
export interface MaintenanceQueue {
  /** One line for people. */
  readonly summary: string;
  /** Five fields, UTC. Left out: only when somebody asks for it. */
  readonly cron?: string;
  /** A run that lasts longer is ended, and tried again. */
  readonly limitSeconds: number;
  /** How often a run that failed, or whose node died, is tried again before the job counts as failed. */
  readonly retries: number;
  /** Until it is tried again; default 5. */
  readonly retryDelaySeconds?: number;
  /** Only nodes with a ready slot take it. */
  readonly needs: 'nothing' | 'signing slot' | 'rotation slot';
}

export const maintenanceQueues = {
  'key-audit': {
    summary: 'opens stored keys and checks them: tag, unwrap, public key, attributes',
    cron: '*/10 * * * *',
    limitSeconds: 540,
    retries: 2,
    needs: 'signing slot',
  },
  'key-check': {
    summary: 'opens the keys that keys verify names',
    limitSeconds: 300,
    retries: 1,
    needs: 'signing slot',
  },
  'canary-exchange': {
    summary: 'has every slot open a test key that another slot wrapped',
    cron: '3,18,33,48 * * * *',
    limitSeconds: 120,
    retries: 2,
    needs: 'signing slot',
  },
  reconciliation: {
    summary: 'compares the keys of the signing API with the keys of this database',
    cron: '20 3 * * *',
    limitSeconds: 3_600,
    retries: 3,
    needs: 'signing slot',
  },
  'journal-trimming': {
    summary: 'takes rows out of the journal that no request can need any more',
    cron: '40 * * * *',
    limitSeconds: 1_800,
    retries: 2,
    needs: 'nothing',
  },
  'backup-check': {
    summary: 'looks whether the last backup is young enough',
    cron: '10 * * * *',
    limitSeconds: 60,
    retries: 2,
    needs: 'nothing',
  },
  'replication-check': {
    summary: 'looks whether replicas of this database are synchronous',
    cron: '*/15 * * * *',
    limitSeconds: 60,
    retries: 2,
    needs: 'nothing',
  },
  'audit-anchoring': {
    summary:
      'tells in signed audit chains how far the others have come, and looks whether what was told before still holds',
    cron: '25 * * * *',
    limitSeconds: 600,
    retries: 3,
    needs: 'signing slot',
  },
  'node-reaping': {
    summary: 'forgets nodes that were dead for a day',
    cron: '5 * * * *',
    limitSeconds: 60,
    retries: 2,
    needs: 'nothing',
  },
  'master-key-rotation': {
    summary: 're-wraps stored keys by the new master key; asked for by rotate start and resume',
    limitSeconds: 12 * 3_600,
    retries: 10_000,
    retryDelaySeconds: 1,
    needs: 'rotation slot',
  },
  'integrity-key-rotation': {
    summary: 're-tags stored keys by the new integrity key; asked for by rotate start and resume',
    limitSeconds: 12 * 3_600,
    retries: 10_000,
    retryDelaySeconds: 1,
    needs: 'signing slot',
  },
} as const satisfies Record<string, MaintenanceQueue>;

export type QueueName = keyof typeof maintenanceQueues;
export const queueNames = Object.keys(maintenanceQueues) as readonly QueueName[];

/** Seen without the entry's literal type. */
export function maintenanceQueue(name: QueueName): MaintenanceQueue {
  return maintenanceQueues[name];
}

export function isQueueName(name: string): name is QueueName {
  return Object.hasOwn(maintenanceQueues, name);
}
