/**
 * A name as Ollama compares it: letters are equal in either case, the default registry and namespace may be left
 * out, and without a tag it means `latest` (`registry.ollama.ai/library/LLAMA3` is `llama3:latest`).
 */
export const toFullModelName = (name: string): string => {
  const path = name.trim().toLowerCase();
  const short = path.replace(/^(https?:\/\/)?registry\.ollama\.ai\//, '').replace(/^library\//, '');
  return short.includes(':', short.lastIndexOf('/') + 1) ? short : `${short}:latest`;
};

/** Whether two names mean one model: `llama3` is `llama3:latest`. */
export const isSameModel = (one: string, other: string): boolean => toFullModelName(one) === toFullModelName(other);

/** What is between namespace and tag: `gpt-oss` of `openai/gpt-oss:20b`. */
export const toBaseModelName = (name: string): string => {
  const full = toFullModelName(name);
  const start = full.lastIndexOf('/') + 1;
  return full.slice(start, full.indexOf(':', start));
};
