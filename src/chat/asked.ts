import type { Metadata, StoredMessage } from '../conversation/message.ts';
import type { Cut } from '../stores/chat-store.ts';

/** What is asked, and what the model sees before it: the same for a new question and for one that is asked again. */
export interface Asked {
  /** What was said before the question and may be sent with it, oldest first. */
  readonly history: readonly StoredMessage[];
  /** What was left out before `history`. */
  readonly cut: Cut;
  readonly question: Question;
  /** The answer so far, with which the model goes on. */
  readonly prefill?: string;
  /** What was thought before it: kept, and not sent. */
  readonly thinking?: string;
  readonly place: Place;
}

export interface Question {
  readonly content: string;
  /** Base64. */
  readonly images: readonly string[];
}

/** Where question and answer get into the conversation. */
export type Place =
  | { readonly type: 'at-the-end' }
  /** The answer grows where it stands, behind the question at `questionPosition`. */
  | {
      readonly type: 'grown';
      readonly messageId: string;
      readonly position: number;
      readonly questionPosition: number;
      /** The request that has made it last, and when that had ended, in milliseconds since 1970. */
      readonly requestId: string;
      readonly endedAt: number;
      /** The model that has made it last. */
      readonly model: string;
      /** The caller's, where this request brings none. */
      readonly metadata?: Metadata;
      /** What the growing answer had taken the place of. */
      readonly variantOf?: string;
    }
  /** Another answer to the question at `questionPosition`: what came behind it is replaced. */
  | { readonly type: 'answered-anew'; readonly questionPosition: number; readonly variantOf: string }
  /** A new question, and its answer: what there is from position `from` on is replaced. */
  | {
      readonly type: 'edited';
      readonly from: number;
      readonly editOf: string;
      /** There when nobody has changed the question's words: it had never been answered. */
      readonly variantOf?: string;
    };

export const NO_CUT: Cut = { position: 0, droppedTurns: 0 };

/** Where the question stands: a new one comes behind all that there is. */
export const toPosition = (place: Place): number => {
  switch (place.type) {
    case 'at-the-end':
      return Number.POSITIVE_INFINITY;
    case 'edited':
      return place.from;
    default:
      return place.questionPosition;
  }
};
