import type { Announcement } from "../core/announce";
import { useWords } from "./words";

/** Tells screen readers what happened; shows nothing. Both regions exist from the start, or nothing is read. */
export function Announcer({ said }: { said: Announcement | null }) {
  const words = useWords().said;
  const text =
    said === null
      ? ""
      : said.said.kind === "approval"
        ? words.approval(said.said.name)
        : words[said.said.kind];
  return (
    <>
      <div className="unseen" role="status" aria-live="polite">
        {said?.urgent ? "" : text}
      </div>
      <div className="unseen" role="alert" aria-live="assertive">
        {said?.urgent ? text : ""}
      </div>
    </>
  );
}
