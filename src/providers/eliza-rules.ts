/** What ELIZA looks for, first match wins, and what it may answer; `*` is what was found, seen from its side. */
export interface ElizaRule {
  readonly pattern: RegExp;
  readonly answers: readonly string[];
}

export const RULES: readonly ElizaRule[] = [
  { pattern: /\b(?:hello|hi|hey|good (?:morning|evening))\b/i, answers: ['Hello. How are you feeling today?'] },
  { pattern: /\b(?:bye|goodbye)\b/i, answers: ['Goodbye. It was good to talk to you.'] },
  { pattern: /\bi need ([^.?!]+)/i, answers: ['Why do you need *?', 'Would it really help you to get *?'] },
  { pattern: /\bi(?: am|['’]m) ([^.?!]+)/i, answers: ['How long have you been *?', 'How do you feel about being *?'] },
  { pattern: /\bi feel ([^.?!]+)/i, answers: ['Do you often feel *?', 'What makes you feel *?'] },
  { pattern: /\bi (?:can['’]?t|cannot) ([^.?!]+)/i, answers: ['How do you know that you cannot *?'] },
  { pattern: /\bi want ([^.?!]+)/i, answers: ['What would it mean to you if you got *?'] },
  { pattern: /\bi think ([^.?!]+)/i, answers: ['Do you really think *?', 'But are you not sure *?'] },
  { pattern: /\bbecause ([^.?!]+)/i, answers: ['Is that the real reason?', 'If *, what else must be true?'] },
  { pattern: /\b(?:mother|father|sister|brother|family)\b/i, answers: ['Tell me more about your family.'] },
  { pattern: /\b(?:computer|machine|program|eliza)\b/i, answers: ['Do machines worry you?'] },
  { pattern: /\byou are ([^.?!]+)/i, answers: ['What makes you think that I am *?'] },
  { pattern: /^(?:yes|no)\b/i, answers: ['You seem quite sure.', 'Can you say more about that?'] },
  { pattern: /\?\s*$/, answers: ['What do you think yourself?', 'Why do you ask?'] },
  { pattern: /(?:)/, answers: ['Please tell me more.', 'How does that make you feel?', 'I see. Please go on.'] },
];

const OTHER_SIDE: ReadonlyMap<string, string> = new Map([
  ['i', 'you'],
  ['me', 'you'],
  ['my', 'your'],
  ['mine', 'yours'],
  ['myself', 'yourself'],
  ['am', 'are'],
  ["i'm", 'you are'],
  ['you', 'I'],
  ['your', 'my'],
  ['yours', 'mine'],
  ['yourself', 'myself'],
]);

const MOST_WORDS = 20; // of a long sentence, its beginning

/** "my dog loves me" as it is said back: "your dog loves you". */
export const reflect = (text: string): string => {
  const words = text.trim().split(/\s+/).slice(0, MOST_WORDS);
  return words.map((word) => OTHER_SIDE.get(word.toLowerCase()) ?? word).join(' ');
};
