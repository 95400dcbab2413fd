/** A number with the word that fits it. */

export function counted(n: number, one: string, many: string): string {
  return `${n} ${n === 1 ? one : many}`;
}
