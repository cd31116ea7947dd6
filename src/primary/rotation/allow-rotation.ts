import type { DriverConfiguration } from '../../shared/configuration/driver.ts';
import { CodedError } from '../../shared/errors.ts';
import { integrityKeysOf, masterKeysOf } from '../../shared/key-ring.ts';
import { readKeyRing } from '../../shared/key-ring-files.ts';
import { readOperators } from '../../shared/orders/operators.ts';
import { type Rotation, rotationSubject } from '../../shared/rotation/rotation-rows.ts';
import { type RotationLeave, rotationLeave } from './rotation-leave.ts';

/**
 * Whether this node may move these keys now. The row in the database is a hint: which keys may be moved where is said by
 * the ceremony files of the configuration, and that it shall be done now by the operators’ orders, where there are
 * operators.
 * @param rotation as it was read just now
 * @param nowMs unix time by this node’s clock
 * @throws ROTATION_REFUSED, ORDER_REFUSED, CONFIG_INVALID, CEREMONY_NOT_LIVE
 */
export function allowRotation(
  configuration: Pick<DriverConfiguration, 'keyStore' | 'ceremonyFile' | 'furtherCeremonyFiles' | 'operators'>,
  rotation: Rotation,
  nowMs = Date.now(),
): RotationLeave {
  const { kind, fromId, toId } = rotation;
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
  if (operators === undefined) return 'given';
  const clock = { nowMs, aheadMs: nowMs - rotation.readAtMs };
  return rotationLeave(rotation, { keyStore, operators: readOperators(operators) }, clock);
}
