// What makes the pages handier; each of them works without it.
"use strict";

(() => {
  const root = document.documentElement;
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;

  // ---- times in the reader's zone --------------------------------------------------------------
  const tongue = navigator.languages.find((one) => one.split("-")[0] === root.lang) || root.lang;
  const format = (options) => new Intl.DateTimeFormat(tongue, options);
  const exact = format({ dateStyle: "medium", timeStyle: "long" });
  const clock = format({ hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
  const moment = format({ dateStyle: "medium", timeStyle: "short" });
  const day = format({ weekday: "long", day: "numeric", month: "long", year: "numeric" });
  const dayKey = format({ year: "numeric", month: "numeric", day: "numeric" });

  const localTimes = (part) => {
    for (const time of part.querySelectorAll("time[data-local]")) {
      const at = new Date(time.dateTime);
      time.title = exact.format(at);
      if (time.dataset.local === "clock") time.textContent = clock.format(at);
      if (time.dataset.local === "moment") time.textContent = moment.format(at);
      delete time.dataset.local;
    }
  };

  // The server cuts the days in UTC; here they are cut where the reader's day ends.
  const localDays = (table) => {
    const heading = table.querySelector("tr.day");
    const rows = [...table.querySelectorAll("tbody tr:not(.day)")];
    if (!heading || !rows.length) return;
    for (const body of [...table.tBodies]) body.remove();
    let last = null;
    for (const row of rows) {
      const at = new Date(row.dataset.at);
      const key = dayKey.format(at);
      if (key !== last) {
        const body = table.createTBody();
        const head = heading.cloneNode(true);
        head.cells[0].textContent = day.format(at);
        body.append(head);
        last = key;
      }
      table.tBodies[table.tBodies.length - 1].append(row);
    }
  };

  // ---- light or dark -----------------------------------------------------------------------------
  const themeNow = () => root.dataset.bsTheme || "system";
  const showTheme = () => {
    for (const button of document.querySelectorAll("[data-theme]")) {
      button.setAttribute("aria-pressed", String(button.dataset.theme === themeNow()));
    }
  };
  const choose = (theme) => {
    if (theme === "system") delete root.dataset.bsTheme;
    else root.dataset.bsTheme = theme;
    try {
      if (theme === "system") localStorage.removeItem("portal-theme");
      else localStorage.setItem("portal-theme", theme);
    } catch {
      // the choice holds for this page
    }
    showTheme();
  };

  // ---- copy ------------------------------------------------------------------------------------------
  const say = (words) => {
    const place = document.getElementById("said");
    if (place) place.textContent = words;
  };
  const writeText = (text) => {
    if (navigator.clipboard) return navigator.clipboard.writeText(text);
    const area = document.createElement("textarea"); // a plain http page has no clipboard of its own
    area.value = text;
    area.className = "visually-hidden";
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    return done ? Promise.resolve() : Promise.reject(new Error("copy"));
  };
  const copy = async (button) => {
    try {
      await writeText(button.dataset.copy);
    } catch {
      return;
    }
    button.focus();
    button.classList.add("copied");
    button.title = button.dataset.copied;
    say(button.dataset.copied);
    setTimeout(() => {
      button.classList.remove("copied");
      button.title = button.getAttribute("aria-label");
    }, 1600);
  };

  // ---- asking before what cannot be undone -----------------------------------------------------------
  const ask = (form, submitter) => {
    const dialog = document.getElementById("ask");
    if (!dialog || !dialog.showModal) return window.confirm(form.dataset.confirm) ? form.submit() : undefined;
    dialog.querySelector("#ask-words").textContent = form.dataset.confirm;
    const yes = dialog.querySelector("button[value=yes]"), no = dialog.querySelector("button[value=no]");
    no.dataset.usual ??= no.textContent;
    no.textContent = form.dataset.no ?? no.dataset.usual; // what takes nothing away has a "no" of its own, and no red
    yes.className = `btn ${form.dataset.no ? "btn-primary" : "btn-outline-danger"}`;
    yes.textContent = submitter ? submitter.textContent.trim() : "OK";
    dialog.returnValue = "";
    dialog.onclose = () => {
      if (dialog.returnValue !== "yes") return;
      delete form.dataset.confirm;
      form.requestSubmit(submitter || undefined);
    };
    return dialog.showModal();
  };

  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (form.dataset.confirm) {
      event.preventDefault();
      ask(form, event.submitter);
      return;
    }
    if (form.method !== "post") return;
    if (form.dataset.sent) event.preventDefault(); // a double click asks once
    else form.dataset.sent = "1";
  });
  window.addEventListener("pageshow", () => {
    for (const form of document.querySelectorAll("form[data-sent]")) delete form.dataset.sent;
  });

  document.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (button?.dataset.copy) copy(button);
    if (button?.dataset.theme) choose(button.dataset.theme);
    for (const menu of document.querySelectorAll("details.menu[open]")) {
      if (!menu.contains(event.target)) menu.open = false;
    }
  });

  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") {
      for (const menu of document.querySelectorAll("details.menu[open]")) {
        menu.open = false;
        menu.querySelector("summary").focus();
      }
      return;
    }
    if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.closest("input, textarea, select, [contenteditable]")) return;
    const search = document.querySelector(".find input");
    if (!search) return;
    event.preventDefault();
    search.focus();
    search.select();
  });

  document.addEventListener("DOMContentLoaded", () => {
    const place = document.getElementById("zone");
    if (place && zone) place.textContent = zone;
    for (const table of document.querySelectorAll("table[data-days]")) localDays(table);
    localTimes(document);
    showTheme();
  });
  // A tab tells where its build, preview or preparation stands, also while another one is looked at.
  const showFavicon = () => {
    const wanted = document.querySelector("[data-favicon]")?.dataset.favicon;
    const link = document.querySelector("link[rel=icon]");
    if (wanted && link.getAttribute("href") !== wanted) link.href = wanted;
  };

  document.addEventListener("htmx:afterSettle", (event) => {
    localTimes(event.target.parentNode || document);
    showFavicon();
  });
})();
