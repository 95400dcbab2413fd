/** Line icons on a 16 px grid. Decoration only: the word stands beside them, or in the control's label. */

const PATHS = {
  agio: "M2.5 13.5 8 2.5l5.5 11M8 10.2v.01",
  agent: "M8 8.2a2.6 2.6 0 1 0 0-5.2 2.6 2.6 0 0 0 0 5.2ZM3 13.5c.4-2.6 2.3-4 5-4s4.6 1.4 5 4",
  approve: "m3 8.5 3.5 3.5L13 4.5",
  branch:
    "M4 4.5v7M12 4.5c0 4-8 2.5-8 7M4 4.5a1.5 1.5 0 1 0 0-3 1.5 1.5 0 0 0 0 3ZM12 4.5a1.5 1.5 0 1 0 0-3 1.5 1.5 0 0 0 0 3ZM4 14.5a1.5 1.5 0 1 0 0-3 1.5 1.5 0 0 0 0 3Z",
  cancelled: "M8 14A6 6 0 1 0 8 2a6 6 0 0 0 0 12ZM3.8 3.8l8.4 8.4",
  chat: "M2.5 3.5h11v7.5H7.2L4.2 13.5V11H2.5z",
  chevron: "m6 3.5 4.5 4.5L6 12.5",
  close: "m4 4 8 8M12 4l-8 8",
  completed: "M8 14A6 6 0 1 0 8 2a6 6 0 0 0 0 12ZM5.3 8.2l1.9 1.9 3.6-4",
  dark: "M13 9.6A5.6 5.6 0 0 1 6.4 3 5.6 5.6 0 1 0 13 9.6Z",
  edit: "m10.5 3 2.5 2.5L6 12.5l-3 .5.5-3z",
  failed: "M8 14A6 6 0 1 0 8 2a6 6 0 0 0 0 12ZM6 6l4 4M10 6l-4 4",
  compare: "M2.5 3h4.2v10H2.5zM9.3 3h4.2v10H9.3z",
  copy: "M5.5 5.5h7.5v8H5.5zM10.5 5.5v-3H3v8h2.5",
  download: "M8 2.5v7.2M4.8 6.8 8 10l3.2-3.2M3 13.2h10",
  home: "M2.5 7.5 8 2.8l5.5 4.7M4 6.5v7h8v-7",
  info: "M8 14A6 6 0 1 0 8 2a6 6 0 0 0 0 12ZM8 7.5v3.2M8 5.2v.01",
  light:
    "M8 10.8a2.8 2.8 0 1 0 0-5.6 2.8 2.8 0 0 0 0 5.6ZM8 1.5v1.2M8 13.3v1.2M1.5 8h1.2M13.3 8h1.2M3.4 3.4l.9.9M11.7 11.7l.9.9M12.6 3.4l-.9.9M4.3 11.7l-.9.9",
  mark: "M4.5 2.5h7v11L8 10.6l-3.5 2.9z",
  menu: "M2.5 4.5h11M2.5 8h11M2.5 11.5h11",
  model: "M8 2 13.5 5v6L8 14l-5.5-3V5zM2.5 5 8 8l5.5-3M8 8v6",
  new: "M8 3v10M3 8h10",
  panel: "M2.5 3.5h11v9h-11zM10 3.5v9",
  paused: "M5.5 3.5v9M10.5 3.5v9",
  queued: "M8 14A6 6 0 1 0 8 2a6 6 0 0 0 0 12Z",
  restore: "M3 8a5 5 0 1 0 1.6-3.7M3 2.5v3h3",
  resume: "M5 3.2v9.6L12.5 8z",
  retry: "M13 8a5 5 0 1 1-1.6-3.7M13 2.5v3h-3",
  running: "M14 8a6 6 0 1 1-6-6",
  runs: "M2.5 4h6M5 8h6M7.5 12h6",
  schedule: "M8 14A6 6 0 1 0 8 2a6 6 0 0 0 0 12ZM8 4.8V8l2.4 1.6",
  search: "M7 11.5a4.5 4.5 0 1 0 0-9 4.5 4.5 0 0 0 0 9ZM10.4 10.4 14 14",
  send: "M8 13V3M3.8 7.2 8 3l4.2 4.2",
  sessions: "M3 3h10v3H3zM3 10h10v3H3zM5.5 6v4M10.5 6v4",
  settings:
    "M2.5 4.5h7M12 4.5h1.5M2.5 11.5H4M6.5 11.5h7M10.8 6a1.5 1.5 0 1 0 0-3 1.5 1.5 0 0 0 0 3ZM5.2 13a1.5 1.5 0 1 0 0-3 1.5 1.5 0 0 0 0 3Z",
  stop: "M4 4h8v8H4z",
  system: "M2.5 3.5h11v7h-11zM6 13.5h4M8 10.5v3",
  thought: "M8 2.2a4 4 0 0 1 2.4 7.2c-.5.4-.7.8-.7 1.4H6.3c0-.6-.2-1-.7-1.4A4 4 0 0 1 8 2.2ZM6.6 13.5h2.8",
  tool: "M10.2 2.6a3.2 3.2 0 0 0-3 4.3l-4.6 4.6 1.9 1.9 4.6-4.6a3.2 3.2 0 0 0 4.2-4L11.4 6.7 9.3 4.6l1.9-1.9a3.2 3.2 0 0 0-1-.1Z",
  waiting: "M8 1.8 14.2 8 8 14.2 1.8 8zM8 5.5v3M8 10.4v.01",
  warning: "M8 2.2 14.2 13H1.8zM8 6.5v3M8 11.3v.01",
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({ name, className = "" }: { name: IconName; className?: string }) {
  return (
    <svg className={`icon ${className}`} viewBox="0 0 16 16" aria-hidden="true" focusable="false">
      <path d={PATHS[name]} />
    </svg>
  );
}
