/* Watches the log's page from its first moment: when it has drawn, and how old the last line is that is on the screen.
   All times are milliseconds since the navigation began; each is taken in the frame after, so that it was painted. */
"use strict";

(() => {
  const seen = (window.bench = { first: 0, whole: 0, ages: [], gap: 0, before: 0 });
  let shown = 0; // when the last line on the screen was written
  const view = () => document.querySelector("[data-log-lines]");
  const lastRow = () => [...view().querySelectorAll(".chunk")].pop()?.querySelector(".l:last-child");

  const isInView = (row) => {
    const [inner, outer] = [row.getBoundingClientRect(), view().getBoundingClientRect()];
    return inner.top >= outer.top && inner.bottom <= outer.bottom + 20;
  };

  const look = (now) => {
    if (shown) seen.ages.push(Date.now() - shown); // of the frame that has been on the screen until now
    seen.gap = Math.max(seen.gap, seen.before ? now - seen.before : 0);
    seen.before = now;
    const row = view() && lastRow();
    if (row && !seen.first) seen.first = performance.now();
    if (row && isInView(row)) {
      if (!seen.whole && !view().hasAttribute("aria-busy")) requestAnimationFrame(() => { seen.whole ||= performance.now(); });
      shown = Number(/ at (\d+)$/.exec(row.lastElementChild.textContent)?.[1] ?? 0);
    }
    requestAnimationFrame(look);
  };
  requestAnimationFrame(look);

  /* Does something, and answers how long until `isDone` and one frame more. */
  window.benchUntil = (act, isDone) => new Promise((resolve) => {
    const began = performance.now();
    act();
    const wait = () => requestAnimationFrame(isDone() ? () => resolve(performance.now() - began) : wait);
    wait();
  });
})();
