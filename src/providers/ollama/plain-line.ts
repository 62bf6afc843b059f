/** What a token usually comes as. */
export type PlainLine = {
  readonly model: string;
  readonly created_at: string;
  readonly message: { readonly role: 'assistant'; readonly content: string };
  readonly done: false;
};

/** A text of JSON in which nothing is escaped. */
const TEXT = String.raw`"([^"\\\u0000-\u001f]*)"`;
// Without the `u` flag, which doubles the time: no character that counts here lies outside of the basic plane.
const PLAIN = new RegExp(
  `^\\{"model":${TEXT},"created_at":${TEXT},"message":\\{"role":"assistant","content":${TEXT}\\},"done":false\\}$`,
);

/**
 * What `JSON.parse` gives for a line that is written exactly as Ollama writes a token, in a fifth of the time;
 * undefined for any other line.
 */
export const parsePlainLine = (line: string): PlainLine | undefined => {
  const [, model, created_at, content] = PLAIN.exec(line) ?? [];
  if (model === undefined || created_at === undefined || content === undefined) return undefined;
  return { model, created_at, message: { role: 'assistant', content }, done: false };
};
