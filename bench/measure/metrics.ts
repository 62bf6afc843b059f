/** One figure of a service's `/metrics`, by its name without labels; undefined where it has none. */
export const readMetric = async (url: string, name: string): Promise<number | undefined> => {
  const response = await fetch(`${url}/metrics`);
  const line = (await response.text()).split('\n').find((each) => each.startsWith(`${name} `));
  return line === undefined ? undefined : Number(line.slice(name.length + 1));
};
