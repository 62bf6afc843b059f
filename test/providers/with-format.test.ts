import { describe, expect, it } from 'vitest';
import { InvalidOutputError, InvalidRequestError } from '../../src/errors.ts';
import type { Format, Part } from '../../src/providers/provider.ts';
import { checkFormat, withFormat } from '../../src/providers/with-format.ts';
import { hear, toRequest } from './ollama-rig.ts';
import type { Heard } from './ollama-rig.ts';
import { ScriptedProvider, finished, say } from './scripted-provider.ts';

const person = {
  type: 'object',
  properties: { name: { type: 'string' }, age: { type: 'integer', minimum: 0 } },
  required: ['name'],
  additionalProperties: false,
} as const;

const answer = async (text: string, format?: Format, finish: Part = finished): Promise<Heard> => {
  const pieces = (text.match(/.{1,5}/gs) ?? []).map((piece) => [say(piece)]);
  const provider = withFormat(new ScriptedProvider([...pieces, [say(''), finish]]));
  return hear(provider.stream(toRequest(format === undefined ? {} : { format }), new AbortController().signal));
};

/** As JSON itself would bring it. */
const fromWire = (text: string): Format => JSON.parse(text);

/** A schema of so many levels, as JSON. */
const nested = (depth: number): string => `${'{"type":"array","items":'.repeat(depth)}true${'}'.repeat(depth)}`;

describe('withFormat', () => {
  it('passes on what meets the schema', async () => {
    const text = '{"name": "Ada", "age": 36}';
    expect(await answer(text, person)).toMatchObject({ content: text, finish: finished, error: undefined });
  });

  it('passes any JSON on where JSON was asked for, and any text where nothing was', async () => {
    for (const text of ['{"a":[1]}', ' [1]\n', '7']) expect((await answer(text, 'json')).finish).toBe(finished);
    expect((await answer('plain words')).finish).toBe(finished);
  });

  it.each(['{"age": 36}', '{"name": 1}', '{"name":"Ada","age":-1}', '{"name":"Ada","x":1}', '[]'])(
    'refuses %s, after its deltas and without a finish',
    async (text) => {
      const { content, finish, error } = await answer(text, person);
      expect(content).toBe(text);
      expect(finish).toBeUndefined();
      expect(error).toBeInstanceOf(InvalidOutputError);
    },
  );

  it('refuses what is no JSON, without its words in the message', async () => {
    const { error } = await answer('Sure! Here is secret JSON: {}', 'json');
    expect(error).toBeInstanceOf(InvalidOutputError);
    expect(String(error)).not.toContain('secret');
  });

  it('says of what was cut off that max_tokens was too small', async () => {
    const { error } = await answer('{"name": "A', person, { type: 'finish', finishReason: 'length' });
    expect(error).toMatchObject({ code: 'invalid_output' });
    expect(String(error)).toContain('max_tokens');
  });

  it('leaves an answer without content to the caller, and never judges the thinking', async () => {
    const thought: Part = { type: 'text-delta', channel: 'thinking', text: 'hm' };
    const provider = withFormat(new ScriptedProvider([[thought], [finished]]));
    const heard = await hear(provider.stream(toRequest({ format: 'json' }), new AbortController().signal));
    expect(heard).toMatchObject({ thinking: 'hm', finish: finished, error: undefined });
  });

  it('evaluates no regular expression of the caller, nor what would turn its absence around', async () => {
    const format: Format = {
      type: 'object',
      properties: { pattern: { type: 'string', pattern: '^(a+)+$' }, other: { not: { pattern: '^b' } } },
      patternProperties: { '^x': { type: 'string' } },
      additionalProperties: false,
      required: ['pattern'],
    };
    const text = JSON.stringify({ pattern: `${'a'.repeat(200)}!`, other: 'b', x1: 'free' });
    expect((await answer(text, format)).error).toBeUndefined();
    expect((await answer('{"pattern": 7}', format)).error).toBeInstanceOf(InvalidOutputError);
    expect((await answer('{}', format)).error).toBeInstanceOf(InvalidOutputError);
  });

  it('follows references, recursive ones too', async () => {
    const tree: Format = {
      $ref: '#/$defs/node',
      $defs: { node: { type: 'object', properties: { next: { $ref: '#/$defs/node' } }, additionalProperties: false } },
    };
    expect((await answer('{"next":{"next":{}}}', tree)).error).toBeUndefined();
    expect((await answer('{"next":{"other":{}}}', tree)).error).toBeInstanceOf(InvalidOutputError);
  });

  it('gives up on a schema that explodes, instead of blocking everybody', async () => {
    const child = { properties: { a: { $ref: '#' } } };
    const explosive: Format = { anyOf: [child, child] }; // twice the work for each level of the answer
    const text = `${'{"a":'.repeat(25)}1${'}'.repeat(25)}`;
    const begun = performance.now();
    expect((await answer(text, explosive)).error).toBeInstanceOf(InvalidOutputError);
    expect(performance.now() - begun).toBeLessThan(5_000);
  });
});

describe('checkFormat', () => {
  it('takes json and usable schemas', () => {
    const usable: readonly Format[] = [
      'json',
      person,
      { anyOf: [{ type: 'null' }, { $ref: '#/definitions/a' }], definitions: { a: { enum: [1, 'x'] } } },
      {
        $schema: 'https://json-schema.org/draft/2020-12/schema',
        title: 'T',
        type: ['string', 'null'],
        example: { any: 1 },
      },
      { type: 'array', prefixItems: [{ type: 'string' }, true], items: { type: 'number', format: 'double' } },
      { type: 'object', properties: { items: { type: 'string' }, required: { type: 'boolean' } } },
    ];
    for (const format of usable) expect(() => checkFormat(format)).not.toThrow();
  });

  it.each([
    ['a text', '"yaml"'],
    ['a list', '[]'],
    ['null', 'null'],
    ['an empty object', '{}'],
    ['an object that is no schema', '{"name":"string","age":"integer"}'],
    ['an unknown type', '{"type":"text"}'],
    ['properties that are no object', '{"type":"object","properties":["a"]}'],
    ['a property that is no schema', '{"type":"object","properties":{"a":"string"}}'],
    ['a required that is no list', '{"type":"object","required":"a"}'],
    ['an empty anyOf', '{"anyOf":[]}'],
    ['a limit that is no number', '{"type":"string","maxLength":"9"}'],
    ['a reference that leads nowhere', '{"$ref":"#/$defs/missing"}'],
    ['a reference to elsewhere', '{"$ref":"https://example.com/schema.json"}'],
    ['a reference to itself', '{"$ref":"#"}'],
    [
      'a circle of references',
      '{"$ref":"#/$defs/a","$defs":{"a":{"anyOf":[{"$ref":"#/$defs/b"}]},"b":{"$ref":"#/$defs/a"}}}',
    ],
    ['more than 32 levels', nested(33)],
    ['more than 2,000 schemas', JSON.stringify({ anyOf: Array.from({ length: 2_000 }, () => ({ type: 'null' })) })],
  ])('refuses %s', (_name, text) => {
    expect(() => checkFormat(fromWire(text))).toThrow(InvalidRequestError);
  });

  it('takes 31 levels', () => {
    expect(() => checkFormat(fromWire(nested(31)))).not.toThrow();
  });

  it('says which keyword is wrong', () => {
    expect(() => checkFormat(fromWire('{"type":"object","required":7}'))).toThrow('`required`');
  });

  it('leaves the caller’s schema as it was', () => {
    const format = structuredClone(person);
    checkFormat(format);
    expect(Object.getOwnPropertyNames(format)).toStrictEqual(Object.keys(person));
  });
});
