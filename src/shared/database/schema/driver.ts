import type { Schema } from '../migrate.ts';
import { keysAndJournal } from './driver/1-keys-and-journal.ts';
import { pinAttempts } from './driver/2-pin-attempts.ts';
import { nodesAndLeader } from './driver/3-nodes-and-leader.ts';
import { usedOrders } from './driver/4-used-orders.ts';
import { auditLog } from './driver/5-audit-log.ts';
import { policy } from './driver/6-policy.ts';
import { rotation } from './driver/7-rotation.ts';
import { jobReports } from './driver/8-job-reports.ts';
import { maintenance } from './driver/9-maintenance.ts';
import { auditHeads } from './driver/10-audit-heads.ts';
import { ordersInForce } from './driver/11-orders-in-force.ts';
import { listClaims } from './driver/12-list-claims.ts';
import { rotationOrders } from './driver/13-rotation-orders.ts';

/** The driver database: wrapped keys, the journal, what is known of PINs. One per key store, shared by all its nodes. */
export const driverSchema: Schema = {
  purpose: 'driver',
  oldest: 13,
  migrations: [
    keysAndJournal,
    pinAttempts,
    nodesAndLeader,
    usedOrders,
    auditLog,
    policy,
    rotation,
    jobReports,
    maintenance,
    auditHeads,
    ordersInForce,
    listClaims,
    rotationOrders,
  ],
};
