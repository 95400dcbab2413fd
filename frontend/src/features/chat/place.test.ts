import { describe, expect, it } from "vitest";
import { placeOf, selectionAt } from "./place";

describe("the chat's address", () => {
  it.each([
    { sessionId: null, runId: null },
    { sessionId: "s1", runId: null },
    { sessionId: "s1", runId: "r1" },
    { sessionId: null, runId: "r1" },
  ])("leads back to %j", (selection) => {
    const place = placeOf(selection);
    const session = "params" in place ? place.params.session : undefined;
    expect(selectionAt(session, place.search.run)).toEqual(selection);
  });
});
