// Arrows lead from build to build in a chart: it is one stop of the keyboard, not a hundred.
"use strict";

document.addEventListener("keydown", (event) => {
  const here = event.target.closest?.("svg.chart a");
  if (!here || event.ctrlKey || event.metaKey || event.altKey) return;
  const all = [...here.closest("svg.chart").querySelectorAll("a")];
  const at = all.indexOf(here);
  const to = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: all.length - 1 }[event.key];
  if (to === undefined) return;
  event.preventDefault();
  const next = all[to];
  if (!next) return;
  here.setAttribute("tabindex", "-1");
  next.setAttribute("tabindex", "0");
  next.focus();
});
