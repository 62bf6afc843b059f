/**
 * Tokens are estimated by characters: Ollama has no endpoint that counts them, and the tokenizer of another
 * model's family is wrong anyway. What the backend counts later corrects the estimate (`TokenCalibration`).
 */

/** Mixed prose and code, over common models. */
const CHARACTERS_PER_TOKEN = 3.1;
/** The template around each message: role, begin, end. */
const TOKENS_PER_MESSAGE = 4;
/** What Ollama counts for an image of a model with a projector. */
const TOKENS_PER_IMAGE = 768;

/** Tokens of a text alone. */
export const estimateTextTokens = (text: string): number => Math.ceil(text.length / CHARACTERS_PER_TOKEN);

/** Tokens of a message in a prompt. */
export const estimateMessageTokens = (message: {
  readonly content: string;
  readonly images?: readonly string[];
}): number =>
  estimateTextTokens(message.content) + TOKENS_PER_MESSAGE + (message.images?.length ?? 0) * TOKENS_PER_IMAGE;
