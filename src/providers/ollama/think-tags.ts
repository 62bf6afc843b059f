import type { Channel } from '../../conversation/reply-event.ts';

/** A piece of what a model says. */
export interface Said {
  readonly channel: Channel;
  /** Never empty. */
  readonly text: string;
}

const OPENING = '<think>';
const CLOSING = '</think>';

type Place = 'start' | 'thinking' | 'behind' | 'content';

/**
 * Tells thinking from content where Ollama does not: for a model whose template it cannot parse, the tags come as
 * content. Only a tag at the very start counts, and only when no thinking came by itself: further on it is a word
 * like any other. The tags and the white space around them go nowhere; all else comes out once, in its order.
 */
export class ThinkTags {
  #place: Place = 'start';
  #hasThought = false;
  /** What may be a part of a tag, or white space beside one. */
  #held = '';

  /** What the next piece of content is. */
  take(content: string): readonly Said[] {
    if (this.#place === 'content') return say('content', content);
    this.#held += content;
    return [...this.#open(), ...this.#think(), ...this.#leave()];
  }

  /** Thinking has come by itself: tags are none of ours any more. What was held comes before it. */
  onThinking(): readonly Said[] {
    return this.#place === 'start' ? this.end() : [];
  }

  /** Nothing more comes: what is still held. */
  end(): readonly Said[] {
    const held = say(this.#place === 'thinking' ? 'thinking' : 'content', this.#held);
    this.#held = '';
    this.#place = 'content';
    return held;
  }

  #open(): readonly Said[] {
    if (this.#place !== 'start') return [];
    const text = this.#held.trimStart();
    if (text.length < OPENING.length && OPENING.startsWith(text)) return []; // it may become the tag
    if (!text.startsWith(OPENING)) return this.end();
    this.#held = text.slice(OPENING.length);
    this.#place = 'thinking';
    return [];
  }

  #think(): readonly Said[] {
    if (this.#place !== 'thinking') return [];
    if (!this.#hasThought) this.#held = this.#held.trimStart();
    const end = this.#held.indexOf(CLOSING);
    if (end !== -1) this.#place = 'behind';
    const thought = (end === -1 ? withoutBeginningTag(this.#held) : this.#held.slice(0, end)).trimEnd();
    this.#held = this.#held.slice(end === -1 ? thought.length : end + CLOSING.length);
    this.#hasThought ||= thought !== '';
    return say('thinking', thought);
  }

  #leave(): readonly Said[] {
    if (this.#place !== 'behind') return [];
    this.#held = this.#held.trimStart();
    return this.#held === '' ? [] : this.end();
  }
}

const say = (channel: Channel, text: string): readonly Said[] => (text === '' ? [] : [{ channel, text }]);

/** The text without an end that may be the beginning of the closing tag. */
const withoutBeginningTag = (text: string): string => {
  const at = text.lastIndexOf('<');
  return at !== -1 && CLOSING.startsWith(text.slice(at)) ? text.slice(0, at) : text;
};
