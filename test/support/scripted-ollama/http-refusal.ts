/** A request is refused before anything was said: a status and Ollama's `{"error": …}`. */
export class HttpRefusal extends Error {
  readonly status: number;
  /** The runner's own refusals are framed otherwise: chunked, and without a charset. */
  readonly fromRunner: boolean;

  constructor(status: number, text: string, fromRunner = false) {
    super(text);
    this.status = status;
    this.fromRunner = fromRunner;
  }
}
