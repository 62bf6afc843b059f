import { describe, expect, it } from 'vitest';
import { CommandLineError, parseCommandLine, toHelp, wrapText } from '../src/command-line.ts';
import { describeSetting, SETTING_NAMES } from '../src/config-settings.ts';
import { parseConfig } from '../src/config.ts';
import { findFreePort, KEY, makeWorkFolder, ServiceProcess, MAIN } from './process/service-process.ts';

const settingsOf = (...words: readonly string[]): unknown => {
  const command = parseCommandLine(words);
  return command.type === 'start' ? command.settings : command.type;
};

const problemsOf = (...words: readonly string[]): readonly string[] => {
  try {
    parseCommandLine(words);
  } catch (error) {
    if (error instanceof CommandLineError) return error.message.split('\n');
    throw error;
  }
  return [];
};

describe('a command line', () => {
  it('without a word changes nothing', () => {
    expect(settingsOf()).toEqual({});
  });

  it.each(SETTING_NAMES)('has a flag for %s', (name) => {
    const flag = `--${name.toLowerCase().replaceAll('_', '-')}`;
    expect(settingsOf(flag, 'a value')).toEqual({ [name]: 'a value' });
    expect(settingsOf(`${flag}=a=value`)).toEqual({ [name]: 'a=value' });
  });

  it('takes values that begin with a dash, and of two the last', () => {
    expect(settingsOf('--llm-keep-alive', '-1', '--port', '1', '--port=2')).toEqual({
      LLM_KEEP_ALIVE: '-1',
      PORT: '2',
    });
    expect(settingsOf('--llm-system-prompt=--')).toEqual({ LLM_SYSTEM_PROMPT: '--' });
  });

  it('unsets with an empty value', () => {
    const settings = { LLM_HOST_RATE: '60', ...Object(settingsOf('--llm-host-rate=')) };
    expect(parseConfig(settings).hostRate).toBeUndefined();
  });

  it.each([
    ['--help', 'help'],
    ['-h', 'help'],
    ['--version', 'version'],
    ['-v', 'version'],
  ])('asks with %s for the %s, whatever else it says', (flag, type) => {
    expect(settingsOf('--port', '8080', flag)).toBe(type);
  });

  it('asks for help rather than for the version', () => {
    expect(settingsOf('-vh')).toBe('help');
  });
});

describe('a wrong command line', () => {
  it('is told in one line for each mistake, all at once', () => {
    expect(problemsOf('--prot', '1', '--colour=red', '--llm-think=true', 'yes', '--version=2', '--port')).toEqual([
      '--prot is not a flag; did you mean --port?',
      '--colour is not a flag.',
      'There is a word that belongs to no flag. A setting is written as a flag and its value: --port 8080',
      '--version takes no value.',
      '--port needs a value: --port 3000',
      'All flags: --help',
    ]);
  });

  it('is one where the next flag stands in the place of a value', () => {
    expect(problemsOf('--api-keys', '--port', '1')).toContain(
      "--api-keys needs a value: --api-keys 'alice.<secret of at least 32 characters>'",
    );
  });

  it.each([['-p'], ['-p8080'], ['--PORT', '8080'], ['--no-port'], ['--__proto__', '1'], ['--constructor=1'], ['8080']])(
    'is %s',
    (...words) => {
      expect(problemsOf(...words)).not.toEqual([]);
    },
  );

  it('is told without its values: one may be a key', () => {
    expect(problemsOf(KEY, `--api-key=${KEY}`, '--api-key', KEY, `--help=${KEY}`).join('\n')).not.toContain(KEY);
  });
});

describe('--help', () => {
  const help = toHelp('1.2.3');

  it('tells each setting with its default, in the groups and words of the table', () => {
    for (const name of SETTING_NAMES) {
      const { group, about, default: defaultText } = describeSetting(name);
      const flag = `--${name.toLowerCase().replaceAll('_', '-')}`;
      const [, heading = '', text = ''] = new RegExp(`^  ${flag} (<.*)\\n((?: {6}.*\\n)+)`, 'm').exec(help) ?? [];
      expect(heading).toContain(defaultText ? `default: ${defaultText}` : 'not set by default');
      expect(text.trim().split(/\s+/).join(' ')).toBe(about);
      expect(
        help
          .slice(0, help.indexOf(`  ${flag} <`))
          .match(/^\w+:$/gm)
          ?.at(-1),
      ).toBe(`${group}:`);
    }
    expect(help).toContain('1.2.3');
  });

  it('fits into a terminal', () => {
    expect(help.split('\n').filter((line) => line.length > 100)).toEqual([]);
  });

  it('breaks a text between words, and no word', () => {
    expect(wrapText('one two three', 7)).toEqual(['one two', 'three']);
    expect(wrapText('anthropomorphic cat', 7)).toEqual(['anthropomorphic', 'cat']);
  });
});

describe('the process', () => {
  it('takes flags before the environment, and the environment before .env', async () => {
    await using folder = await makeWorkFolder();
    const port = await findFreePort();
    await folder.writeEnv('LLM_MODEL=of-the-file\nLLM_MAX_TOKENS=7\n');
    await using service = await ServiceProcess.start(
      folder,
      { PORT: '1', LLM_MODEL: 'of-the-environment' },
      { command: [process.execPath, MAIN, '--port', String(port)] },
    );
    expect(service.url).toBe(`http://127.0.0.1:${port}`);
    expect(service.log.at(-1)).toMatchObject({ model: 'of-the-environment' });
  });

  it.each([
    [['--prot', '1'], 1, '', /^--prot is not a flag; did you mean --port\?\nAll flags: --help\n$/],
    [['--port', 'many'], 1, '', /^One setting is wrong:\n {2}- PORT must be/],
    [['--version'], 0, /^\d+\.\d+\.\d+\n$/, /^$/],
    [['--help'], 0, /^llm-chat-service \d[\s\S]*--allow-anonymous/, /^$/],
  ] as const)('ends at %j with %i', async (words, code, stdout, stderr) => {
    await using folder = await makeWorkFolder();
    await using service = await ServiceProcess.spawn(folder, {}, { command: [process.execPath, MAIN, ...words] });
    expect(await service.exited()).toEqual({ code, signal: null });
    expect(service.stdout).toMatch(stdout);
    expect(service.stderr).toMatch(stderr);
  });
});
