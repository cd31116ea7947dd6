import type { LeaseCall } from '../../shared/driver-protocol.ts';
import { type DriverNode, takesWork } from './lease.ts';

/**
 * How long an instance's calls may pass without asking the database. Short beside what depends on it: presence
 * (lease.ts), the renewal of leases, and the time after which a request that another process gave in vain goes back.
 */
const unaskedMs = 250;

interface Instance {
  readonly node: string;
  readonly keyStore: string;
  readonly slot: string;
  readonly capabilities: string;
  readonly takesWork: boolean;
  readonly renewedAt: number;
  /** What this process gave it since, and has no outcome of. */
  readonly given: Set<string>;
}

/**
 * What this process gave the instances that call it. An instance at work calls dozens of times a second, and nearly always
 * there is nothing to renew and nothing to take back: it holds all that it was given. Such a call needs no statement.
 */
export function createGivenLeases(now: () => number = () => performance.now()) {
  const instances = new Map<string, Instance>();

  return {
    /** Whether the database was asked a moment ago and would say the same: nothing to renew, nothing to take back. */
    isSettled(node: DriverNode, call: LeaseCall): boolean {
      const known = instances.get(call.instance);
      if (known === undefined || now() - known.renewedAt >= unaskedMs) return false;
      if (known.node !== node.name || known.keyStore !== node.keyStore || known.slot !== call.slot) return false;
      if (known.capabilities !== call.capabilities.join(' ') || known.takesWork !== takesWork(call)) return false;
      const holding = new Set(call.holding);
      for (const id of known.given) if (!holding.has(id)) return false;
      return true;
    },
    /** The database took note of this call. */
    renewed(node: DriverNode, call: LeaseCall): void {
      for (const [id, { renewedAt }] of instances) if (now() - renewedAt >= unaskedMs) instances.delete(id);
      instances.set(call.instance, {
        ...{ node: node.name, keyStore: node.keyStore, slot: call.slot, capabilities: call.capabilities.join(' ') },
        takesWork: takesWork(call),
        renewedAt: now(),
        given: new Set(call.holding),
      });
    },
    gave(instance: string, ids: readonly string[]): void {
      const given = instances.get(instance)?.given;
      for (const id of ids) given?.add(id);
    },
    /** The instance is about to be answered, and will hold them no more. */
    acknowledged(instance: string, ids: readonly string[]): void {
      const given = instances.get(instance)?.given;
      for (const id of ids) given?.delete(id);
    },
    forget(instance: string): void {
      instances.delete(instance);
    },
  };
}
