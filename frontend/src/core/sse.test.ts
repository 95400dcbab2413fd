import { describe, expect, it } from "vitest";
import { streamed } from "../testing/wire";
import { readFrames, type SseFrame } from "./sse";

async function read(chunks: readonly (string | Uint8Array)[], after: "end" | "break" = "end") {
  const frames: SseFrame[] = [];
  const retries: number[] = [];
  let activity = 0;
  const { body } = streamed(chunks, { after });
  if (body === null) throw new Error("a stream has a body");
  const reading = readFrames(body, {
    onFrame: (frame) => frames.push(frame),
    onRetry: (ms) => retries.push(ms),
    onActivity: () => {
      activity += 1;
    },
  });
  const error: unknown = await reading.then(
    () => null,
    (reason: unknown) => reason,
  );
  return { frames, retries, activity, error };
}

describe("readFrames", () => {
  it("reads name, data and id", async () => {
    const { frames } = await read(['event: run_started\ndata: {"seq":1}\nid: 1\n\n']);
    expect(frames).toEqual([{ event: "run_started", data: '{"seq":1}', id: "1" }]);
  });

  it("calls a frame without a name a message", async () => {
    const { frames } = await read(["data: hello\n\n"]);
    expect(frames).toEqual([{ event: "message", data: "hello", id: undefined }]);
  });

  it("reads frames that come in any number of pieces", async () => {
    const text =
      'retry: 1000\n\nevent: a\ndata: {"x":"é☂"}\nid: 1\n\n: alive\n\nevent: b\ndata: 2\nid: 2\n\n';
    const bytes = new TextEncoder().encode(text);
    for (const size of [1, 2, 3, 7, 16, bytes.length]) {
      const pieces: Uint8Array[] = [];
      for (let from = 0; from < bytes.length; from += size) pieces.push(bytes.slice(from, from + size));
      const { frames } = await read(pieces);
      expect(frames, `pieces of ${size}`).toEqual([
        { event: "a", data: '{"x":"é☂"}', id: "1" },
        { event: "b", data: "2", id: "2" },
      ]);
    }
  });

  it("reads CRLF as well as LF", async () => {
    const { frames } = await read(["event: a\r\ndata: 1\r\nid: 1\r\n\r\nevent: b\r", "\ndata: 2\r\n\r\n"]);
    expect(frames.map(({ event }) => event)).toEqual(["a", "b"]);
  });

  it("joins several data lines", async () => {
    const { frames } = await read(["data: one\ndata: two\n\n"]);
    expect(frames[0]?.data).toBe("one\ntwo");
  });

  it("does not mistake an odd line break in the data for the end of a line", async () => {
    const { frames } = await read(["data: a\u2028b\u2029c\u0085d\n\n"]);
    expect(frames[0]?.data).toBe("a\u2028b\u2029c\u0085d");
  });

  it("drops a frame that was cut off, with its id", async () => {
    const { frames } = await read(["event: a\ndata: 1\nid: 1\n\nevent: b\ndata: 2\nid: 2\n"]);
    expect(frames.map(({ id }) => id)).toEqual(["1"]);
  });

  it("takes comments for signs of life and for nothing else", async () => {
    const { frames, activity } = await read([": keep-alive\n\n", ": keep-alive\n\n"]);
    expect(frames).toEqual([]);
    expect(activity).toBe(2);
  });

  it("passes the server's wish for the delay on", async () => {
    const { retries } = await read(["retry: 2500\n\n", "retry: soon\n\n"]);
    expect(retries).toEqual([2500]);
  });

  it("throws when the connection breaks, after what came whole", async () => {
    const { frames, error } = await read(["event: a\ndata: 1\nid: 1\n\nevent: b"], "break");
    expect(frames).toHaveLength(1);
    expect(error).toBeInstanceOf(TypeError);
  });

  it("lets go of the connection when a handler throws", async () => {
    let cancelled = false;
    const body = new ReadableStream<Uint8Array>({
      pull: (controller) => controller.enqueue(new TextEncoder().encode("data: 1\n\n")),
      cancel: () => {
        cancelled = true;
      },
    });
    const reading = readFrames(body, {
      onFrame: () => {
        throw new Error("handler broke");
      },
    });
    await expect(reading).rejects.toThrow("handler broke");
    expect(cancelled).toBe(true);
  });
});
