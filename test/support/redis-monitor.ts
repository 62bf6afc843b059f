import type { RedisServer } from './redis-server.ts';

/** What a server has been asked, from the beginning of the recording on. */
export interface CommandRecording extends AsyncDisposable {
  /** What clients have sent: a script counts once. */
  readCalls(): Promise<readonly string[]>;
  /** Every step, those within scripts too. */
  readAll(): Promise<readonly string[]>;
}

interface Command {
  readonly name: string;
  /** `lua` within a script. */
  readonly source: string;
}

const END = 'end of the recording';

export const recordCommands = async ({ admin }: RedisServer): Promise<CommandRecording> => {
  const commands: Command[] = [];
  const ended = Promise.withResolvers<void>();
  const monitor = await admin.monitor();
  monitor.on('monitor', (_time: string, words: string[], source: string) => {
    if (words.includes(END)) ended.resolve();
    else commands.push({ name: words[0] ?? '', source });
  });
  const read = async (isWanted: (command: Command) => boolean): Promise<readonly string[]> => {
    await admin.echo(END); // in order: what came before it has been told by then
    await ended.promise;
    return commands.filter(isWanted).map(({ name }) => name);
  };
  return {
    readCalls: () => read(({ source }) => source !== 'lua'),
    readAll: () => read(() => true),
    [Symbol.asyncDispose]: async () => monitor.disconnect(),
  };
};
