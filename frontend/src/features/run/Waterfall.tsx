import { useVirtualizer } from "@tanstack/react-virtual";
import { type KeyboardEvent, useEffect, useMemo, useRef, useState } from "react";
import { cost, count, duration } from "../../core/format";
import {
  arrowTo,
  barOf,
  extentOf,
  type Span,
  type TimelineRow,
  type TimeScale,
  type TimeWindow,
  timelineRows,
  timeScale,
} from "../../core/timeline";
import { isPartial } from "../../core/trace";
import { Check, Field } from "../../ui/Field";
import { Icon, type IconName } from "../../ui/Icon";
import { useWords } from "../../ui/words";
import { useKeys } from "../app/key-board";

interface WaterfallProps {
  readonly trace: Span;
  readonly now: number;
  readonly live: boolean;
  readonly closed: ReadonlySet<string>;
  onToggle(id: string): void;
  readonly selected: string | null;
  /** Shown as selected when no row is: what is selected elsewhere. */
  readonly selectedStep: number | null;
  onSelect(id: string): void;
}

/** As in pages.css. */
const ROW = 28;
const ICONS: Readonly<Record<Span["kind"], IconName>> = {
  run: "running",
  step: "runs",
  model: "model",
  tool: "tool",
};

export function Waterfall(props: WaterfallProps) {
  const { trace, now, live, closed, onToggle, selected, selectedStep, onSelect } = props;
  const words = useWords();
  const [find, setFind] = useState("");
  const [keyOnly, setKeyOnly] = useState(false);
  const [collapse, setCollapse] = useState(true);
  const [following, setFollowing] = useState(true);
  const [brush, setBrush] = useState<readonly [number, number]>([0, 100]);
  const rows = useMemo(() => timelineRows(trace, { closed, keyOnly, find }), [trace, closed, keyOnly, find]);
  const partial = isPartial(trace);
  const whole = useMemo(() => extentOf(rows, now), [rows, now]);
  const window = useMemo(() => (whole === null ? null : windowOf(whole, brush)), [whole, brush]);
  const scale = useMemo(
    // What is not there yet would look like idle time.
    () => (window === null ? null : timeScale(rows, window, now, collapse && !partial)),
    [rows, window, now, collapse, partial],
  );
  const current =
    rows.find(({ id }) => id === selected) ??
    rows.find(({ kind, step }) => kind === "step" && step === selectedStep);
  useKeys({ "run.follow": () => setFollowing((old) => !old) });
  return (
    <div className="waterfall">
      <div className="waterfall-bar">
        <Field label={words.run.findIn} kind="search" value={find} onText={setFind} />
        <Check label={words.run.keyOnly} checked={keyOnly} onCheck={setKeyOnly} />
        <Check label={words.run.collapseIdle} checked={collapse} onCheck={setCollapse} />
        {live && <Check label={words.run.follow} checked={following} onCheck={setFollowing} />}
      </div>
      {whole !== null && <Brush value={brush} onChange={setBrush} span={whole.toMs - whole.fromMs} />}
      <Grid
        rows={rows}
        partial={partial}
        scale={scale}
        window={window}
        now={now}
        current={current?.id ?? null}
        follow={live && following}
        onLeaveEnd={() => setFollowing(false)}
        onToggle={onToggle}
        onSelect={onSelect}
      />
    </div>
  );
}

function windowOf({ fromMs, toMs }: TimeWindow, [from, to]: readonly [number, number]): TimeWindow {
  const length = toMs - fromMs;
  const start = fromMs + (length * from) / 100;
  return { fromMs: start, toMs: Math.max(start + 1, fromMs + (length * to) / 100) };
}

interface BrushProps {
  readonly value: readonly [number, number];
  readonly span: number;
  onChange(value: readonly [number, number]): void;
}

/** Two handles on one line: which stretch of the run is drawn. */
function Brush({ value: [from, to], span, onChange }: BrushProps) {
  const words = useWords();
  const at = (percent: number) => duration((span * percent) / 100);
  return (
    <fieldset className="brush">
      <legend className="unseen">{words.run.brush}</legend>
      <label>
        <span>{words.run.from}</span>
        <input
          type="range"
          min={0}
          max={99}
          value={from}
          aria-valuetext={at(from)}
          onChange={(event) => onChange([Math.min(Number(event.target.value), to - 1), to])}
        />
      </label>
      <label>
        <span>{words.run.to}</span>
        <input
          type="range"
          min={1}
          max={100}
          value={to}
          aria-valuetext={at(to)}
          onChange={(event) => onChange([from, Math.max(Number(event.target.value), from + 1)])}
        />
      </label>
      <span className="quiet small number">
        {at(from)} – {at(to)}
      </span>
    </fieldset>
  );
}

interface GridProps {
  readonly rows: readonly TimelineRow[];
  /** More rows are on their way. */
  readonly partial: boolean;
  readonly scale: TimeScale | null;
  readonly window: TimeWindow | null;
  readonly now: number;
  readonly current: string | null;
  readonly follow: boolean;
  onLeaveEnd(): void;
  onToggle(id: string): void;
  onSelect(id: string): void;
}

function Grid(props: GridProps) {
  const { rows, partial, scale, window, now, current, follow, onLeaveEnd, onToggle, onSelect } = props;
  const words = useWords();
  const box = useRef<HTMLDivElement>(null);
  const virtual = useVirtualizer({
    count: rows.length,
    getScrollElement: () => box.current,
    estimateSize: () => ROW,
    overscan: 12,
  });
  const at = rows.findIndex(({ id }) => id === current);

  useEffect(() => {
    if (follow && rows.length > 0) virtual.scrollToIndex(rows.length - 1);
  }, [follow, rows.length, virtual]);
  useEffect(() => {
    if (at >= 0) virtual.scrollToIndex(at);
  }, [at, virtual]);

  function onKeyDown(event: KeyboardEvent): void {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const moved = arrowTo(rows, current, event.key);
    if (moved === null) return;
    event.preventDefault();
    if ("go" in moved) onSelect(moved.go);
    else onToggle(moved.toggle);
  }
  return (
    <>
      <div className="grid-head" aria-hidden="true">
        <span>{words.run.step}</span>
        <span />
        <span className="number">{words.runs.tokens}</span>
        <span className="number">{words.runs.cost}</span>
        <span className="number">{words.runs.time}</span>
      </div>
      <div
        ref={box}
        className="grid-box"
        role="treegrid"
        aria-label={words.run.waterfall}
        aria-rowcount={partial ? -1 : rows.length}
        aria-busy={partial}
        aria-activedescendant={at >= 0 ? `row-${at}` : undefined}
        tabIndex={0}
        onKeyDown={onKeyDown}
        onWheel={onLeaveEnd}
      >
        {rows.length <= 1 && !partial && <p className="quiet small none">{words.run.noSteps}</p>}
        <div className="grid-body" role="rowgroup" style={{ height: virtual.getTotalSize() }}>
          {virtual.getVirtualItems().map(({ index, start }) => {
            const row = rows[index];
            if (row === undefined) return null;
            return (
              <Row
                key={row.id}
                row={row}
                index={index}
                top={start}
                selected={row.id === current}
                bar={scale === null || window === null ? null : barOf(row, scale, window, now)}
                now={now}
                onToggle={onToggle}
                onSelect={onSelect}
              />
            );
          })}
        </div>
        {scale?.gaps.map(({ at: where, ms }) => (
          <span key={where} className="unseen">
            {words.run.idle(duration(ms))}
          </span>
        ))}
      </div>
    </>
  );
}

interface RowProps {
  readonly row: TimelineRow;
  readonly index: number;
  readonly top: number;
  readonly selected: boolean;
  readonly bar: { readonly from: number; readonly to: number } | null;
  readonly now: number;
  onToggle(id: string): void;
  onSelect(id: string): void;
}

function Row({ row, index, top, selected, bar, now, onToggle, onSelect }: RowProps) {
  const ms = row.ms ?? (row.startMs === null ? null : (row.endMs ?? now) - row.startMs);
  return (
    // biome-ignore lint/a11y/useKeyWithClickEvents: the grid has the focus and handles keys
    <div
      id={`row-${index}`}
      role="row"
      aria-rowindex={index + 1}
      aria-level={row.depth + 1}
      aria-selected={selected}
      aria-expanded={row.hasChildren ? row.open : undefined}
      tabIndex={-1}
      className="grid-row"
      data-kind={row.kind}
      data-status={row.status}
      style={{ transform: `translateY(${top}px)` }}
      onClick={() => onSelect(row.id)}
      onDoubleClick={() => row.hasChildren && onToggle(row.id)}
    >
      <span role="gridcell" className="grid-name" style={{ paddingLeft: 8 + row.depth * 16 }}>
        {/* biome-ignore lint/a11y/useKeyWithClickEvents: arrow keys open and close */}
        {/* biome-ignore lint/a11y/noStaticElementInteractions: as above */}
        <span
          className="grid-twig"
          data-open={row.open || undefined}
          onClick={(event) => {
            event.stopPropagation();
            if (row.hasChildren) onToggle(row.id);
          }}
        >
          {row.hasChildren && <Icon name="chevron" />}
        </span>
        <Icon name={ICONS[row.kind]} />
        <span className="clip">{row.name}</span>
      </span>
      <span role="gridcell" className="grid-chart">
        {bar !== null && (
          <span
            className="span-bar"
            style={{ left: `${bar.from * 100}%`, width: `max(3px, ${(bar.to - bar.from) * 100}%)` }}
          />
        )}
      </span>
      <span role="gridcell" className="number">
        {row.tokens ? count(row.tokens) : ""}
      </span>
      <span role="gridcell" className="number">
        {row.cost ? cost(row.cost) : ""}
      </span>
      <span role="gridcell" className="number">
        {ms === null ? "" : duration(ms)}
      </span>
    </div>
  );
}
