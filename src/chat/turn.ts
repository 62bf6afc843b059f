import type { Place } from '../limits/fair-queue.ts';
import type { Charged } from '../limits/quota.ts';
import type { HostLimiter } from '../limits/host-limiter.ts';
import type { ReplySource, SourcePart } from '../replies/reply-writer.ts';

/** What a request holds from its admission to the end of its reply. */
export interface Turn {
  readonly charged: Charged;
  /** Absent where nobody has to wait: the fallback needs no host. */
  readonly place?: Place;
  readonly host?: HostLimiter;
}

/** The same source, when its turn has come: says where it stands in the queue, and gives everything back at its end. */
export const inTurn = (source: ReplySource, { place, charged, host }: Turn): ReplySource =>
  async function* waitAndStream(signal) {
    charged.begin();
    try {
      if (place) yield* waitIn(place, signal);
      await host?.takeReply(signal);
      yield [{ type: 'turn' }];
      yield* source(signal);
    } finally {
      place?.[Symbol.dispose]();
      await charged.end();
    }
  };

async function* waitIn(place: Place, signal: AbortSignal): AsyncGenerator<readonly SourcePart[], void> {
  for await (const position of place.wait(signal)) yield [{ type: 'queued', ...position }];
}
