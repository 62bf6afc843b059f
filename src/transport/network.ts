import { isIPv6 } from 'node:net';

const MAPPED = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i;
/** Groups of 16 bits. */
const ALL_GROUPS = 8;
const NETWORK_GROUPS = 4;

/**
 * What tells callers apart who have no name: the address of IPv4; of IPv6 the first 64 bits, since whoever has one
 * address has commonly all that share them (RFC 6177), and could ask with a new one each time.
 */
export const toNetwork = (address: string): string => {
  const mapped = MAPPED.exec(address)?.[1];
  if (mapped !== undefined) return mapped;
  const plain = address.split('%', 1)[0] ?? '';
  if (!isIPv6(plain)) return address;
  const [head = [], tail = []] = toCanonical(plain)
    .split('::')
    .map((half) => half.split(':').filter(Boolean));
  const zeros = Array.from({ length: ALL_GROUPS - head.length - tail.length }, () => '0');
  return `${[...head, ...zeros, ...tail].slice(0, NETWORK_GROUPS).join(':')}::/64`;
};

/** As a URL writes it: small letters, no leading zeros, no dots. */
const toCanonical = (address: string): string => new URL(`http://[${address}]`).hostname.slice(1, -1);
