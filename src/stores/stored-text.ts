/**
 * Text as stores keep it: JSON's spelling without the quotes. They keep UTF-8, where half of a surrogate pair has no
 * place; written out (`\ud83d`), two different ids stay different and come back as they were. Texts that are joined
 * in this spelling are joined in every other: a pair whose halves came apart is whole again.
 */
export const toStoredText = (text: string): string => JSON.stringify(text).slice(1, -1);

/** The text that `toStoredText` has written. */
export const fromStoredText = (stored: string): string => String(JSON.parse(`"${stored}"`));
