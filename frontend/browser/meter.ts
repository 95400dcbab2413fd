/** What a page costs: time until it shows rows, processor time of its main thread, tasks that block it. */

import type { CDPSession, Page } from "@playwright/test";

declare global {
  interface Window {
    longTasks: number[];
  }
}

export class Meter {
  private constructor(
    readonly page: Page,
    private readonly session: CDPSession,
  ) {}

  /** For a page that has not been loaded yet. */
  static async of(page: Page): Promise<Meter> {
    const session = await page.context().newCDPSession(page);
    // Thread time: what other processes do to this machine does not count.
    await session.send("Performance.enable", { timeDomain: "threadTicks" });
    await page.addInitScript(() => {
      window.longTasks = [];
      new PerformanceObserver((list) => {
        for (const { duration } of list.getEntries()) window.longTasks.push(duration);
      }).observe({ type: "longtask" });
    });
    return new Meter(page, session);
  }

  /** Milliseconds of processor time of the main thread while `act` goes on, and the tasks over 50 ms. */
  async during(act: () => Promise<unknown>): Promise<{ busyMs: number; longTasks: readonly number[] }> {
    const before = await this.busyMs();
    const seen = await this.page.evaluate(() => window.longTasks.length);
    await act();
    const busyMs = (await this.busyMs()) - before;
    const longTasks = await this.page.evaluate((from) => window.longTasks.slice(from), seen);
    return { busyMs, longTasks };
  }

  /** Milliseconds from a step within the page until its rows are on the screen and it is at rest for a frame. */
  untilRows(href: string): Promise<number> {
    return this.page.evaluate(async (to) => {
      const frame = () => new Promise((done) => requestAnimationFrame(done));
      const start = performance.now();
      if (to.startsWith("/")) window.__TSR_ROUTER__?.history.push(to);
      else window.bare.open(Number(to));
      while (document.querySelectorAll(".grid-row").length < 10) await frame();
      await frame();
      return performance.now() - start;
    }, href);
  }

  /** Milliseconds until a click on the third row has selected it, and a frame has passed. */
  untilSelected(): Promise<number> {
    return this.page.evaluate(async () => {
      const frame = () => new Promise((done) => requestAnimationFrame(done));
      const start = performance.now();
      const row = () => document.querySelectorAll<HTMLElement>(".grid-row")[2];
      row()?.click();
      while (row()?.getAttribute("aria-selected") !== "true") await frame();
      return performance.now() - start;
    });
  }

  private async busyMs(): Promise<number> {
    const { metrics } = await this.session.send("Performance.getMetrics");
    return (metrics.find(({ name }) => name === "TaskDuration")?.value ?? 0) * 1_000;
  }
}
