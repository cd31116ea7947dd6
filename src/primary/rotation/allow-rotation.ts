import type { DriverConfiguration } from '../../shared/configuration/driver.ts';
import { CodedError } from '../../shared/errors.ts';
import { integrityKeysOf, masterKeysOf } from '../../shared/key-ring.ts';
import { readKeyRing } from '../../shared/key-ring-files.ts';
import { readOperators } from '../../shared/orders/operators.ts';
import { signedOrder } from '../../shared/orders/order.ts';
import { verifyApproval } from '../../shared/orders/verify-order.ts';
import { type Rotation, rotationSubject } from '../../shared/rotation/rotation-rows.ts';

/**
 * Whether this node may move these keys. The row in the database is a hint: which keys may be moved where is said by the
 * ceremony files of the configuration, and that it shall be done now by the operators’ order, where there are operators.
 * @throws ROTATION_REFUSED, ORDER_REFUSED, CONFIG_INVALID, CEREMONY_NOT_LIVE
 */
export function allowRotation(
  configuration: Pick<DriverConfiguration, 'keyStore' | 'ceremonyFile' | 'furtherCeremonyFiles' | 'operators'>,
  rotation: Rotation,
): void {
  const { kind, fromId, toId, signedOrder: stored } = rotation;
  const ring = readKeyRing(configuration);
  const ids =
    kind === 'master-key'
      ? masterKeysOf(ring).map(({ masterKey }) => masterKey.id)
      : integrityKeysOf(ring).map(({ integrityKey }) => integrityKey.id);
  if (ids[0] !== toId || !ids.includes(fromId)) {
    throw new CodedError(
      'ROTATION_REFUSED',
      `${rotationSubject(rotation)}: this node’s ceremony files are of ${ids.join(', ')}, the current one first`,
    );
  }
  const { keyStore, operators } = configuration;
  if (operators === undefined) return;
  const order = signedOrder.safeParse(stored);
  if (!order.success)
    throw new CodedError('ORDER_REFUSED', `${rotationSubject(rotation)} was started without an order`);
  const about = { kind: 'rotation', subject: `start ${rotationSubject(rotation)}` } as const;
  verifyApproval(order.data, { keyStore, about }, readOperators(operators));
}
