// Runs before anything is painted: the reader's own choice of light or dark, and a mark that scripts are at work.
"use strict";

(() => {
  const root = document.documentElement;
  root.classList.add("js");
  let chosen = null;
  try {
    chosen = localStorage.getItem("portal-theme");
  } catch {
    // a browser that keeps nothing follows the system
  }
  if (chosen === "light" || chosen === "dark") root.dataset.bsTheme = chosen;
})();
