export interface Figure {
  readonly name: string;
  readonly value: string;
}

/** Names and values; what has no value is left out. */
export function Figures({ figures }: { figures: readonly Figure[] }) {
  return (
    <dl className="figures">
      {figures
        .filter(({ value }) => value !== "")
        .map(({ name, value }) => (
          <div key={name} className="figure">
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
    </dl>
  );
}
