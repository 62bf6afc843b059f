import { describe, expect, it } from 'vitest';
import { describeAskingAgain } from './chat-store/asking-again.ts';
import { describeBegin } from './chat-store/begin.ts';
import { describeConversations } from './chat-store/conversations.ts';
import { describeEnding } from './chat-store/ending.ts';
import type { OpenHarness } from './chat-store/fixtures.ts';
import { describeGoingOn } from './chat-store/going-on.ts';
import { describeLists } from './chat-store/lists.ts';
import { describeLog } from './chat-store/log.ts';
import { describeModel } from './chat-store/model.ts';
import { describeRetention } from './chat-store/retention.ts';
import { describeSummaries } from './chat-store/summaries.ts';
import { describeTexts } from './chat-store/texts.ts';
import { describeWatch } from './chat-store/watch.ts';

export type { OpenHarness, StoreHarness } from './chat-store/fixtures.ts';

/** What every chat store does. `open` gives an empty one each time. */
export const describeChatStore = (name: string, open: OpenHarness): void => {
  describe(`ChatStore, ${name}`, () => {
    it('answers a ping', async () => {
      await using harness = await open();
      await expect(harness.store.ping()).resolves.toBeUndefined();
    });

    describeConversations(open);
    describeLists(open);
    describeBegin(open);
    describeLog(open);
    describeWatch(open);
    describeEnding(open);
    describeAskingAgain(open);
    describeGoingOn(open);
    describeSummaries(open);
    describeTexts(open);
    describeRetention(open);
    describeModel(open);
  });
};
