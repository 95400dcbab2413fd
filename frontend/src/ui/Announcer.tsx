/** Tells screen readers what happened; shows nothing. Both regions exist from the start, or nothing is read. */
export function Announcer({ said }: { said: { text: string; urgent: boolean } | null }) {
  return (
    <>
      <div className="unseen" role="status" aria-live="polite">
        {said !== null && !said.urgent ? said.text : ""}
      </div>
      <div className="unseen" role="alert" aria-live="assertive">
        {said?.urgent ? said.text : ""}
      </div>
    </>
  );
}
