import { BackendWire } from './backend-wire.ts';
import { SocketWire } from './socket-wire.ts';
import type { OpenWire, Wire } from './wire.ts';

/** Handshakes that are under way at once. */
const AT_ONCE = 50;

export const openWire: OpenWire = (url) => (url.startsWith('ws:') ? SocketWire.open(url) : BackendWire.open(url));

/** Many connections, spread evenly over the URLs. */
export const openWires = async (urls: readonly string[], count: number): Promise<readonly Wire[]> => {
  const wires: Wire[] = [];
  while (wires.length < count) {
    const batch = Array.from({ length: Math.min(AT_ONCE, count - wires.length) }, (_, index) =>
      openWire(urls[(wires.length + index) % urls.length] ?? ''),
    );
    wires.push(...(await Promise.all(batch)));
  }
  return wires;
};
