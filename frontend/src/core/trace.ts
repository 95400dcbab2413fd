/** Reading a run's trace in parts, so that its first rows are there at once, however long the run is. Pure. */

import type { Span } from "./timeline";

/** Events of the first part, and of those that follow: none of them takes the page a noticeable time. */
const FIRST_EVENTS = 200;
const MORE_EVENTS = 3_000;

export interface Stretch {
  readonly after: number;
  readonly limit: number;
}

/** Up to which event the steps are told of for good. */
function throughSeq({ attributes = {} }: Span): number {
  const { through_seq } = attributes;
  return typeof through_seq === "number" ? through_seq : 0;
}

/** Says whether there is more of the run than these spans. */
export function isPartial({ attributes = {} }: Span): boolean {
  return attributes.has_more === true;
}

/** What to read first; `known` is what was read before. */
export function firstStretch(known: Span | undefined): Stretch {
  if (known === undefined) return { after: 0, limit: FIRST_EVENTS };
  // What became of child runs may have changed since; runs that have some have few steps of their own.
  const again = known.children?.some(({ kind }) => kind === "run") === true;
  return { after: again ? 0 : throughSeq(known), limit: MORE_EVENTS };
}

/** Returns the trace with what was read behind `after`; a span that is told of again replaces itself. */
export function joinTrace(known: Span | undefined, read: Span, after: number): Span {
  if (known === undefined || after === 0) return read;
  const spans = new Map(known.children?.map((span) => [span.id, span]));
  for (const span of read.children ?? []) spans.set(span.id, span);
  const children = [...spans.values()];
  // A page tells of its steps first, then of the child runs that began in it.
  const of = (wanted: boolean) => children.filter(({ kind }) => (kind === "run") === wanted);
  return { ...read, children: [...of(false), ...of(true)] };
}

/**
 * Reads what is not known yet.
 *
 * @param onPart is given the trace as far as it is there, unless it would be less than what is known.
 * @throws what `read` does.
 */
export async function readTrace(
  known: Span | undefined,
  read: (stretch: Stretch) => Promise<Span>,
  onPart: (trace: Span) => void,
): Promise<Span> {
  let stretch = firstStretch(known);
  const grows = known === undefined || stretch.after > 0;
  let trace = known;
  for (;;) {
    const part = await read(stretch);
    trace = joinTrace(trace, part, stretch.after);
    if (!isPartial(part)) return trace;
    if (grows) onPart(trace);
    stretch = { after: throughSeq(part), limit: MORE_EVENTS };
  }
}
