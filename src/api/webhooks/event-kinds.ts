/** What happens here, and is told. */
export const raisedKinds = [
  'key.created',
  'key.deleted',
  'wallet.created',
  'wallet.signature.requested',
  'wallet.signature.signed',
  'wallet.signature.failed',
] as const;
export type RaisedKind = (typeof raisedKinds)[number];

/** Every kind of the Dfns API (SDK 0.8.21), so that its programs register as they are; most never happen here. */
export const eventKinds = [
  ...raisedKinds,
  'policy.triggered',
  'policy.approval.pending',
  'policy.approval.resolved',
  'key.delegated',
  'key.exported',
  'wallet.blockchainevent.detected',
  'wallet.activated',
  'wallet.delegated',
  'wallet.exported',
  'wallet.signature.rejected',
  'wallet.transaction.broadcasted',
  'wallet.transaction.confirmed',
  'wallet.transaction.failed',
  'wallet.transaction.rejected',
  'wallet.transaction.requested',
  'wallet.transfer.broadcasted',
  'wallet.transfer.confirmed',
  'wallet.transfer.failed',
  'wallet.transfer.rejected',
  'wallet.transfer.requested',
  'wallet.offer.received',
  'wallet.offer.accepted',
  'wallet.offer.rejected',
  'wallet.offer.withdrawn',
  'wallet.tags.modified',
  'payout.action.required',
] as const;
