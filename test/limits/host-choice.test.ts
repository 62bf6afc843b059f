import { describe, expect, it } from 'vitest';
import type { HostView } from '../../src/limits/host-board.ts';
import { chooseHost, findFreeHosts, findUsable, type HostLoad } from '../../src/limits/host-choice.ts';
import { ScriptedBoard } from '../support/scripted-board.ts';
import { host } from './queue-rig.ts';

const view = (name: string, given: Partial<HostView> = {}): HostView => ({
  host: name,
  state: 'up',
  hasModel: true,
  isLoaded: true,
  loadMs: 20_000,
  ...given,
});

const load = (counts: Readonly<Record<string, number>> = {}, slots = 2): HostLoad => ({
  slots,
  running: (name) => counts[name] ?? 0,
  runs: (name, model) => model === 'm' && (counts[name] ?? 0) > 0,
});

const choose = (
  views: readonly HostView[],
  { counts, last }: { counts?: Readonly<Record<string, number>>; last?: string } = {},
) => chooseHost(views, load(counts), last)?.host;

const names = (views: readonly HostView[]): readonly string[] => views.map((each) => each.host);

describe('a host can be asked for a model', () => {
  it('when it has it and is not away', () => {
    const board = new ScriptedBoard({ a: host('x'), b: host('m', '', { state: 'away' }), c: host('m') });
    expect(names(findUsable(board, 'm', load()))).toEqual(['c']);
  });

  it('without a load where it runs a reply of it, also before the board has heard of that', () => {
    const board = new ScriptedBoard({ a: host('m'), b: host('m') });
    const usable = findUsable(board, 'm', load({ b: 1 }));
    expect(usable.map(({ isLoaded }) => isLoaded)).toEqual([false, true]);
  });

  it('at once while it has a free slot', () => {
    expect(names(findFreeHosts([view('a'), view('b')], load({ a: 2, b: 1 })))).toEqual(['b']);
  });

  it('at once on trial only while it has nothing to do', () => {
    const onTrial = [view('a', { state: 'trial' }), view('b', { state: 'trial' })];
    expect(names(findFreeHosts(onTrial, load({ a: 1 })))).toEqual(['b']);
  });

  it('at once after a silence only where no other can be', () => {
    const views = [view('a', { state: 'suspect' }), view('b', { state: 'trial', isLoaded: false })];
    expect(names(findFreeHosts(views, load()))).toEqual(['b']);
    expect(names(findFreeHosts(views, load({ b: 1 })))).toEqual(['a']);
  });
});

describe('of the hosts that can be asked at once', () => {
  it('the one that has the model loaded is asked, however much it has to do', () => {
    expect(choose([view('a', { isLoaded: false }), view('b')], { counts: { b: 1 }, last: 'a' })).toBe('b');
  });

  it('the conversation’s last one is asked among equals, however much it has to do', () => {
    expect(choose([view('a'), view('b')], { counts: { b: 1 }, last: 'b' })).toBe('b');
  });

  it('the one with the fewest running replies is asked then', () => {
    expect(choose([view('a'), view('b'), view('c')], { counts: { a: 1, c: 1 } })).toBe('b');
  });

  it('the first of the settings is asked then', () => {
    expect(choose([view('a'), view('b')])).toBe('a');
  });

  it('none is asked where there is none', () => {
    expect(choose([])).toBeUndefined();
  });
});
