/** What Go calls the kind of a JSON value. */
export function goKind(value: unknown): string {
  if (Array.isArray(value)) return 'array';
  return typeof value === 'boolean' ? 'bool' : typeof value;
}

/** The value at the start of a text; what stands behind it is not looked at. Throws a `SyntaxError` with Go's words. */
export function parseAsGo(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    return afterFailure(text, error instanceof Error ? error.message : '');
  }
}

/** Our parser's complaint and Go's, of the character at which both stop. */
const COMPLAINTS: readonly (readonly [RegExp, string])[] = [
  [/':' after/, 'after object key'],
  [/property name/, 'looking for beginning of object key string'],
  [/after property value/, 'after object key:value pair'],
  [/after array element/, 'after array element'],
  [/control character/, 'in string literal'],
  [/escaped character|[Uu]nicode escape/, 'in string escape code'],
  [/./, 'looking for beginning of value'],
];

function afterFailure(text: string, complaint: string): unknown {
  const position = Number(/at position (\d+)/.exec(complaint)?.[1] ?? Number.NaN);
  if (/after JSON/.test(complaint)) return JSON.parse(text.slice(0, position));
  const character = /^Unexpected token '(.)'/su.exec(complaint)?.[1] ?? text[position];
  if (character === undefined || /end of JSON|Unterminated/.test(complaint)) throw new SyntaxError('unexpected EOF');
  const [, words] = COMPLAINTS.find(([pattern]) => pattern.test(complaint)) ?? [];
  throw new SyntaxError(`invalid character '${character}' ${words}`);
}
