import type { Schema } from '../migrate.ts';
import { keysAndRequests } from './api/1-keys-and-requests.ts';
import { walletsAndWebhooks } from './api/2-wallets-and-webhooks.ts';
import { usedOrders } from './api/3-used-orders.ts';
import { walletAuthorisation } from './api/4-wallet-authorisation.ts';
import { rightsVersion } from './api/5-rights-version.ts';
import { auditAnchors } from './api/6-audit-anchors.ts';
import { cheaperRequests } from './api/7-cheaper-requests.ts';
import { secondOpinion } from './api/8-second-opinion.ts';
import { orderedNodes } from './api/9-ordered-nodes.ts';
import { requestTrimming } from './api/10-request-trimming.ts';
import { repeatedFaults } from './api/11-repeated-faults.ts';
import { anchorThinning } from './api/12-anchor-thinning.ts';
import { idleInstances } from './api/13-idle-instances.ts';
import { restingKeys } from './api/14-resting-keys.ts';

/** The signing API's database. */
export const apiSchema: Schema = {
  purpose: 'api',
  oldest: 14,
  migrations: [
    keysAndRequests,
    walletsAndWebhooks,
    usedOrders,
    walletAuthorisation,
    rightsVersion,
    auditAnchors,
    cheaperRequests,
    secondOpinion,
    orderedNodes,
    requestTrimming,
    repeatedFaults,
    anchorThinning,
    idleInstances,
    restingKeys,
  ],
};
