import type { AddressInfo, Server } from 'node:net';

/** Tells the process that started this one where it listens. */
export const tellReady = (server: Pick<Server, 'address'>): void => {
  const { port } = server.address() as AddressInfo; // it listens on TCP
  process.send?.({ type: 'ready', port });
};
