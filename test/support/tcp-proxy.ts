import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';

const HOST = '127.0.0.1';

// A nudge as Redis sends it to a subscriber (RESP 2 and 3): `message`, the channel, and an empty text.
const NUDGE = /[*>]3\r\n\$7\r\nmessage\r\n\$\d+\r\n[^\r]*\r\n\$0\r\n\r\n/g;
const NUDGE_BEGINS = '3\r\n$7\r\nmessage';

/** Stands between instances and Redis: a network that a test can break. */
export interface TcpProxy extends AsyncDisposable {
  /** Where Redis seems to be. */
  readonly url: string;
  /** How many nudges were lost on the way. */
  readonly lostNudges: number;
  /** From now on no nudge gets through; everything else does. */
  loseNudges(): void;
  /** Tears all connections, and those that come are torn at once. */
  cut(): void;
  mend(): void;
  /** Tears the connections that are there; new ones get through. */
  tear(): void;
}

export const startTcpProxy = async (targetPort: number): Promise<TcpProxy> => {
  const sockets = new Set<Socket>();
  const nudges = { areLost: false, lost: 0 };
  let isCut = false;
  const add = (socket: Socket): Socket => {
    sockets.add(socket.setNoDelay(true));
    return socket.on('error', () => undefined).once('close', () => sockets.delete(socket));
  };
  const server = createServer((client) => {
    if (isCut) return void client.resetAndDestroy();
    const target = add(connect(targetPort, HOST));
    add(client).once('close', () => target.destroy());
    target.once('close', () => client.destroy());
    client.on('data', (bytes) => target.write(bytes));
    const filter = createFilter(nudges);
    target.on('data', (bytes) => client.write(filter(bytes.toString('latin1')), 'latin1'));
  }).listen(0, HOST);
  await once(server, 'listening');
  const address = server.address();
  const tear = (): void => sockets.forEach((socket) => void socket.destroy());
  return {
    url: `redis://${HOST}:${typeof address === 'object' && address ? address.port : 0}`,
    get lostNudges() {
      return nudges.lost;
    },
    loseNudges: () => void (nudges.areLost = true),
    cut: () => {
      isCut = true;
      tear();
    },
    mend: () => void (isCut = false),
    tear,
    [Symbol.asyncDispose]: async () => {
      const closed = once(server, 'close');
      server.close();
      tear();
      await closed;
    },
  };
};

/** What gets through of what comes, also where a nudge comes in two pieces. */
const createFilter = (nudges: { readonly areLost: boolean; lost: number }): ((text: string) => string) => {
  let rest = '';
  return (text) => {
    if (!nudges.areLost) return text;
    const others = (rest + text).replaceAll(NUDGE, () => {
      nudges.lost += 1;
      return '';
    });
    const begun = others.lastIndexOf(NUDGE_BEGINS);
    rest = begun > 0 ? others.slice(begun - 1) : '';
    return begun > 0 ? others.slice(0, begun - 1) : others;
  };
};
