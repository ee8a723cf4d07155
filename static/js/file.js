// "Which build made this file?": the file is hashed here, in a worker; then its sha256 is searched for.
"use strict";

(() => {
  const part = document.getElementById("which");
  const input = part.querySelector("input[type=file]");
  const state = part.querySelector("[data-state]"), bar = part.querySelector("progress");
  const stop = part.querySelector("button");
  const unit = new Intl.NumberFormat(document.documentElement.lang, { maximumFractionDigits: 1 });
  let worker = null;

  const megabytes = (bytes) => `${unit.format(bytes / 1e6)} MB`;
  const words = (name, facts) => part.dataset[name].replace(/\{(\w+)\}/g, (_all, fact) => facts[fact]);
  const show = (sentence, { busy = false, wrong = false } = {}) => {
    state.textContent = sentence;
    state.classList.toggle("fail", wrong);
    bar.hidden = stop.hidden = !busy;
  };
  const end = () => {
    if (worker) worker.terminate();
    worker = null;
    input.value = ""; // the same file may be chosen again
  };
  const fail = (name, facts) => {
    end();
    show(words(name, facts), { wrong: true });
  };

  const look = (file) => {
    end();
    const facts = { name: file.name, size: megabytes(file.size), most: megabytes(Number(part.dataset.most)) };
    if (file.size > Number(part.dataset.most)) return fail("large", facts);
    bar.value = 0;
    bar.max = file.size || 1;
    show(words("busy", facts), { busy: true });
    worker = new Worker(part.dataset.worker, { type: "module" });
    worker.onerror = () => fail("broken", facts);
    worker.onmessage = ({ data }) => {
      if (data.unread) return fail("unread", facts);
      if (data.read) bar.value = data.read;
      if (!data.sha256) return undefined;
      show(words("found", facts));
      location.href = `${part.dataset.history}?q=${data.sha256}`;
      return undefined;
    };
    worker.postMessage(file);
    return undefined;
  };

  input.addEventListener("change", () => {
    if (input.files.length) look(input.files[0]);
  });
  stop.addEventListener("click", () => {
    end();
    show(part.dataset.stopped);
    input.focus();
  });
  window.addEventListener("pageshow", (event) => {
    if (event.persisted) show(""); // back from what was found
  });

  // Wherever on the page it is dropped: beside the field the browser would open it and leave the page.
  const holdsFile = (event) => event.dataTransfer && [...event.dataTransfer.types].includes("Files");
  document.addEventListener("dragover", (event) => {
    if (!holdsFile(event)) return;
    event.preventDefault();
    part.classList.add("over");
  });
  document.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) part.classList.remove("over");
  });
  document.addEventListener("drop", (event) => {
    if (!holdsFile(event)) return;
    event.preventDefault();
    part.classList.remove("over");
    if (event.dataTransfer.files.length) look(event.dataTransfer.files[0]);
  });
})();
