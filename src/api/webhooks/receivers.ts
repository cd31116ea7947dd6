import { BlockList, isIP } from 'node:net';
import { CodedError } from '../../shared/errors.ts';

/**
 * Where deliveries may go. An application chooses the URL, and this process makes the call: without these rules it
 * would reach for it into the network that the API stands in (SSRF). Names are looked up when a delivery is sent, and
 * the connection goes to the address that was checked; see send.ts.
 */

/** This host, its links, multicast, reserved: never. 169.254.169.254 gives clouds' credentials. */
const never = blockList([
  ['0.0.0.0', 8],
  ['169.254.0.0', 16],
  ['224.0.0.0', 3],
  ['::', 128],
  ['fe80::', 10],
  ['ff00::', 8],
]);
/** RFC 6890 and its successors: only where the configuration says so. The last two hold IPv4 addresses of any kind. */
const privateRanges = blockList([
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['::1', 128],
  ['fc00::', 7],
  ['64:ff9b::', 96],
  ['2002::', 16],
]);
const loopback = blockList([
  ['127.0.0.0', 8],
  ['::1', 128],
]);

export function mayDeliverTo(address: string, privateAddresses: boolean): boolean {
  const family = isIP(address) === 6 ? 'ipv6' : 'ipv4';
  if (isIP(address) === 0 || never.check(address, family)) return false;
  return privateAddresses || !privateRanges.check(address, family);
}

/**
 * What can be said of a URL before its name is looked up.
 * @throws WEBHOOK_URL_REFUSED
 */
export function requireReceiver(text: string, privateAddresses: boolean): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined) throw refused('it is no URL');
  if (url.username !== '' || url.password !== '') throw refused('it holds a user name or password');
  const host = url.hostname.replace(/^\[|\]$/g, '');
  if (isIP(host) !== 0 && !mayDeliverTo(host, privateAddresses)) throw refused('its address is not a public one');
  if (url.protocol === 'https:') return url;
  if (url.protocol === 'http:' && privateAddresses && isLoopback(host)) return url;
  throw refused('it is not https');
}

function isLoopback(host: string): boolean {
  if (isIP(host) === 0) return host === 'localhost';
  return loopback.check(host, isIP(host) === 6 ? 'ipv6' : 'ipv4');
}

function blockList(subnets: readonly (readonly [network: string, prefix: number])[]): BlockList {
  const list = new BlockList();
  for (const [network, prefix] of subnets) list.addSubnet(network, prefix, isIP(network) === 6 ? 'ipv6' : 'ipv4');
  return list;
}

function refused(why: string): CodedError {
  return new CodedError('WEBHOOK_URL_REFUSED', why);
}
