import { describe, expect, it } from "vitest";
import type { Span } from "./timeline";
import { firstStretch, isPartial, joinTrace, readTrace, type Stretch } from "./trace";

function span(kind: Span["kind"], id: string, status = "completed", children: Span[] = []): Span {
  return { id, kind, name: id, status, attributes: {}, children };
}

function part(throughSeq: number, hasMore: boolean, ...children: Span[]): Span {
  return {
    ...span("run", "r", "running", children),
    attributes: { through_seq: throughSeq, has_more: hasMore },
  };
}

const ids = ({ children = [] }: Span) => children.map(({ id }) => id);

/** Answers from a list, and notes what was asked. */
function server(...answers: readonly Span[]) {
  const asked: Stretch[] = [];
  const read = async (stretch: Stretch) => {
    asked.push(stretch);
    const answer = answers[asked.length - 1];
    if (answer === undefined) throw new Error("asked too often");
    return answer;
  };
  return { asked, read };
}

describe("readTrace", () => {
  it("shows a small part first, and goes on behind each until it has all", async () => {
    const { asked, read } = server(
      part(10, true, span("step", "1")),
      part(30, true, span("step", "2"), span("step", "3")),
      part(40, false, span("step", "4"), span("step", "5", "running")),
    );
    const shown: string[][] = [];
    const trace = await readTrace(undefined, read, (some) => shown.push(ids(some)));
    expect(asked.map(({ after }) => after)).toEqual([0, 10, 30]);
    expect(asked[0]?.limit).toBeLessThan(asked[1]?.limit ?? 0);
    expect(shown).toEqual([["1"], ["1", "2", "3"]]);
    expect(ids(trace)).toEqual(["1", "2", "3", "4", "5"]);
    expect(isPartial(trace)).toBe(false);
  });

  it("reads on from the last whole step; what was under way replaces itself", async () => {
    const known = part(20, false, span("step", "1"), span("step", "2", "running"));
    const { asked, read } = server(part(30, false, span("step", "2"), span("step", "3", "running")));
    const trace = await readTrace(known, read, () => undefined);
    expect(asked).toEqual([{ after: 20, limit: firstStretch(known).limit }]);
    expect(trace.children?.map(({ id, status }) => `${id} ${status}`)).toEqual([
      "1 completed",
      "2 completed",
      "3 running",
    ]);
    expect(known.children?.[1]?.status).toBe("running");
  });

  it("reads a run with child runs anew, and shows it once it is whole", async () => {
    const known = part(20, false, span("step", "1"), span("run", "child", "running"));
    const { asked, read } = server(
      part(20, true, span("step", "1"), span("run", "child")),
      part(40, false, span("step", "2")),
    );
    const shown: Span[] = [];
    const trace = await readTrace(known, read, (some) => shown.push(some));
    expect(asked.map(({ after }) => after)).toEqual([0, 20]);
    expect(shown).toEqual([]);
    expect(ids(trace)).toEqual(["1", "2", "child"]);
    expect(trace.children?.[2]?.status).toBe("completed");
  });

  it("keeps what is there when a part cannot be read", async () => {
    const { read } = server(part(10, true, span("step", "1")));
    const shown: Span[] = [];
    await expect(readTrace(undefined, read, (some) => shown.push(some))).rejects.toThrow("too often");
    expect(shown.map(ids)).toEqual([["1"]]);
  });
});

describe("joinTrace", () => {
  it("takes the run's own figures from what was read last", () => {
    const known = part(10, true, span("step", "1"));
    const joined = joinTrace(known, { ...part(20, false), status: "completed" }, 10);
    expect(joined).toMatchObject({ status: "completed", attributes: { through_seq: 20, has_more: false } });
    expect(ids(joined)).toEqual(["1"]);
  });
});
