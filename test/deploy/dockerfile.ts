import { readFileSync } from 'node:fs';

/** An instruction of a Dockerfile: its name, its flags, and what follows them on one line. */
export interface Instruction {
  readonly name: string;
  readonly flags: Readonly<Record<string, string>>;
  readonly text: string;
}

/** What stands between two FROM. */
export interface Stage {
  readonly image: string;
  readonly name: string | undefined;
  readonly instructions: readonly Instruction[];
}

export const readDockerfile = (path: URL): readonly Stage[] => {
  const lines = readFileSync(path, 'utf8')
    .replaceAll(/^\s*#.*\n/gm, '') // also between the lines of one instruction
    .replaceAll(/\\\n\s*/g, '')
    .split('\n')
    .filter((line) => line.trim() !== '');
  const stages: { image: string; name: string | undefined; instructions: Instruction[] }[] = [];
  for (const instruction of lines.map(toInstruction)) {
    if (instruction.name !== 'FROM') {
      const stage = stages.at(-1);
      if (!stage) throw new Error(`${instruction.name} stands before FROM`);
      stage.instructions.push(instruction);
      continue;
    }
    const [image = '', as, name] = instruction.text.split(/\s+/);
    if (as !== undefined && as.toUpperCase() !== 'AS') throw new Error(`FROM ${instruction.text}`);
    stages.push({ image, name, instructions: [] });
  }
  return stages;
};

const toInstruction = (line: string): Instruction => {
  const {
    name,
    flags = '',
    text = '',
  } = /^(?<name>[A-Z]+)\s+(?<flags>(?:--\S+\s+)*)(?<text>.*)$/.exec(line)?.groups ?? {};
  if (name === undefined) throw new Error(`not an instruction: ${line}`);
  const pairs = [...flags.matchAll(/--([\w-]+)=(\S+)/g)].map(([, flag = '', value = '']) => [flag, value]);
  return { name, flags: Object.fromEntries(pairs), text };
};

/** The instructions of one name. */
export const all = ({ instructions }: Stage, name: string): readonly Instruction[] =>
  instructions.filter((instruction) => instruction.name === name);

/** The last instruction of one name, which is the one that counts. */
export const last = (stage: Stage, name: string): Instruction => {
  const instruction = all(stage, name).at(-1);
  if (!instruction) throw new Error(`there is no ${name}`);
  return instruction;
};

/** The words of a command in exec form, which is an array in JSON: no shell stands between it and a signal. */
export const toExecForm = (text: string): readonly string[] => {
  const words: unknown = JSON.parse(text);
  if (!Array.isArray(words)) throw new Error(`not in exec form: ${text}`);
  return words.map(String);
};

/** `A=1 B=2`, as ENV has them. */
export const toVariables = (stage: Stage): Readonly<Record<string, string>> =>
  Object.fromEntries(
    all(stage, 'ENV').flatMap(({ text }) =>
      [...text.matchAll(/([A-Z_]+)=(\S+)/g)].map(([, name = '', value = '']) => [name, value]),
    ),
  );
