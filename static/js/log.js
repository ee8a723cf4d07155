/* The live log: asks for what is new by its offset, and shows it line by line. Nothing of a log ever becomes markup:
   every piece goes in as text. 200 lines to a chunk that the browser leaves unrendered while it is out of sight. */
"use strict";

(() => {
  const CHUNK = 200;
  const LINE_HEIGHT = 20;
  const SECOND = 1000;
  const FULL_PIECE = 48 * 1024;
  const ESCAPE = /\u001b\[([0-9;:]*)m|\u001b\[[0-9;?]*[ -/]*[@-~]|\u001b\][^\u0007\u001b]*(?:\u0007|\u001b\\)|\u001b./g;
  const COLOURS = ["black", "red", "green", "yellow", "blue", "magenta", "cyan", "white"];
  const TROUBLE = /\b(error|fatal|exception|traceback|failed|cannot|could not)\b/i;
  const ENDS = { 0: ["fail", "bad"], 1: ["ok", "done"] };
  const SVG = "http://www.w3.org/2000/svg";

  const element = (name, look, text) => {
    const made = document.createElement(name);
    if (look) made.className = look;
    if (text !== undefined) made.textContent = text;
    return made;
  };

  const icon = (name, look) => {
    const svg = document.createElementNS(SVG, "svg");
    svg.setAttribute("class", `i ${look}`);
    svg.setAttribute("aria-hidden", "true");
    const use = document.createElementNS(SVG, "use");
    use.setAttribute("href", `#i-${name}`);
    svg.append(use);
    return svg;
  };

  const tongue = document.documentElement.lang;
  const number = (value, places = 0) =>
    value.toLocaleString(tongue, { minimumFractionDigits: places, maximumFractionDigits: places });
  const comma = number(0.5, 1)[1];

  const seconds = (value) => {
    if (!Number.isFinite(value)) return "";
    if (value < 59.95) return `${number(value, value < 0.995 ? 2 : 1)} s`;
    return `${Math.floor(Math.round(value) / 60)} min ${Math.round(value) % 60} s`;
  };

  /* ---- colours: Select Graphic Rendition, as classes ------------------------------------------------------- */

  class Paint {
    constructor() { this.reset(); }
    reset() { this.colour = ""; this.bold = this.dim = this.underline = false; }
    get look() {
      return [this.colour, this.bold && "bold", this.dim && "dim", this.underline && "under"].filter(Boolean).join(" ");
    }
    take(codes) {
      const list = codes.split(/[;:]/).map(Number);
      for (let at = 0; at < list.length; at += 1) {
        const code = list[at];
        if (code === 0) this.reset();
        else if (code === 1) this.bold = true;
        else if (code === 2) this.dim = true;
        else if (code === 4) this.underline = true;
        else if (code === 22) this.bold = this.dim = false;
        else if (code === 24) this.underline = false;
        else if (code >= 30 && code <= 37) this.colour = COLOURS[code - 30];
        else if (code >= 90 && code <= 97) this.colour = COLOURS[code - 90];
        else if (code === 39) this.colour = "";
        else if (code === 38 || code === 48) {
          if (code === 38 && list[at + 1] === 5) this.colour = COLOURS[list[at + 2] % 8] && list[at + 2] < 16 ? COLOURS[list[at + 2] % 8] : "";
          at += list[at + 1] === 5 ? 2 : 4;
        }
      }
    }
  }

  /* Puts a line's text into `into`, with its colours; a line begins without any. Answers the plain text. */
  const paint = (text, into) => {
    if (!text.includes("\u001b")) {
      into.textContent = text;
      return text;
    }
    const brush = new Paint();
    let plain = "";
    const put = (piece) => {
      if (!piece) return;
      plain += piece;
      into.append(brush.look ? element("span", brush.look, piece) : piece);
    };
    let end = 0;
    for (const found of text.matchAll(ESCAPE)) {
      put(text.slice(end, found.index));
      if (found[1] !== undefined) brush.take(found[1]);
      end = found.index + found[0].length;
    }
    put(text.slice(end));
    return plain;
  };

  /* ---- one log ---------------------------------------------------------------------------------------------- */

  class Log {
    constructor(box) {
      this.box = box;
      this.words = box.dataset;
      this.view = box.querySelector("[data-log-lines]");
      this.nav = box.querySelector("[data-log-steps]");
      this.status = box.querySelector("[data-log-status]");
      this.field = box.querySelector("[data-log-find]");
      this.follow = box.querySelector("[data-log-follow]");
      this.active = box.dataset.active === "1";
      this.offset = 0;
      this.rest = "";
      this.waiting = "";
      this.shown = -SECOND;
      this.plain = [];
      this.steps = [];
      this.found = [];
      this.at = -1;
      this.last = 0;
      this.top = 0;
      this.wait = SECOND;
      this.decoder = new TextDecoder();
      for (const control of box.querySelectorAll("[data-log-control]")) control.hidden = false;
      this.follow.checked = this.active && !location.hash;
      this.follow.closest("[data-log-control]").hidden = !this.active;
      this.listen();
      this.view.setAttribute("aria-busy", "true");
      this.poll();
    }

    listen() {
      this.view.addEventListener("scroll", () => this.scrolled(), { passive: true });
      this.follow.addEventListener("change", () => this.keepUp());
      this.field.addEventListener("keydown", (event) => {
        if (event.key !== "Enter") return;
        event.preventDefault();
        this.enter(event.shiftKey ? -1 : 1);
      });
      this.field.addEventListener("input", () => {
        clearTimeout(this.typing);
        this.typing = setTimeout(() => this.search(this.field.value), 150);
      });
      this.view.addEventListener("click", (event) => {
        const number = event.target.closest("b.n");
        if (number) location.hash = number.parentElement.id;
      });
      this.nav.addEventListener("click", () => { this.follow.checked = false; });
      addEventListener("hashchange", () => this.goToHash());
    }

    /* ---- reading ---- */

    async poll() {
      let more = false;
      try {
        const address = new URL(this.words.logUrl, location);
        address.searchParams.set("offset", this.offset);
        const answer = await fetch(address, { cache: "no-store" });
        const next = answer.headers.get("X-Next-Offset");
        if (!answer.ok || next === null) throw new Error(`status ${answer.status}`);
        const bytes = await answer.arrayBuffer();
        this.offset = Number(next);
        this.waiting += this.decoder.decode(bytes, { stream: true });
        /* Of a long log the first piece is shown at once and the rest in few large ones: each showing costs a frame. */
        if (bytes.byteLength < FULL_PIECE || performance.now() - this.shown > SECOND) this.showWaiting();
        this.done = answer.headers.get("X-Log-Done") === "1";
        this.good = answer.headers.get("X-Log-Good");
        more = bytes.byteLength > 0;
        this.wait = SECOND;
        if (this.trouble) this.say("");
        this.trouble = false;
      } catch {
        this.trouble = true;
        this.wait = Math.min(this.wait * 2, 15 * SECOND);
        this.say(this.words.unreadable);
      }
      this.keepUp();
      if (this.done) this.finish();
      else setTimeout(() => this.poll(), more && !this.trouble ? 0 : this.wait);
      if (!more) this.settle();
    }

    showWaiting() {
      const text = this.waiting;
      this.waiting = "";
      this.take(text);
      this.shown = performance.now();
    }

    take(text) {
      const lines = (this.rest + text).split("\n");
      this.rest = lines.pop();
      for (const line of lines) this.line(line);
      this.flush();
    }

    line(raw) {
      const tab = raw.indexOf("\t");
      const at = Number(raw.slice(0, Math.max(tab, 0)));
      const text = raw.slice(tab + 1);
      if (Number.isFinite(at)) this.last = at;
      if (text.startsWith("\u001e")) this.step(text.slice(1).trim(), this.last);
      else this.row(text, this.last);
    }

    row(text, at) {
      const number = this.plain.length + 1;
      const row = element("div", "l");
      row.id = `L${number}`;
      const words = element("span");
      this.plain.push(paint(text, words));
      row.append(element("b", "n", number), element("i", "", at.toFixed(2).replace(".", comma)), words);
      if (!this.chunk || this.chunk.count >= CHUNK) this.newChunk();
      this.chunk.fragment.append(row);
      this.chunk.count += 1;
    }

    newChunk() {
      this.flush();
      const node = element("div", "chunk");
      (this.current ? this.current.node : this.view).append(node);
      this.chunk = { node, count: 0, fragment: document.createDocumentFragment() };
    }

    flush() {
      if (!this.chunk || !this.chunk.fragment.childNodes.length) return;
      this.chunk.node.append(this.chunk.fragment);
    }

    step(name, at) {
      this.flush();
      this.close(at, "ok", "done");
      this.chunk = null;
      this.plain.push(""); // it is a line of the downloaded log as well: both number alike
      const node = element("section", "step");
      const head = element("h3", "s");
      head.id = `step-${name.replace(/[^a-z0-9_-]/gi, "-")}`;
      const state = icon("run", this.active ? "turn run" : "run");
      const took = element("span");
      head.append(state, element("b", "", name), took);
      node.append(head);
      this.view.append(node);
      const link = element("a", "", name);
      link.href = `#${head.id}`;
      this.nav.append(link);
      this.current = { node, head, state, took, link, at, first: this.plain.length };
      this.steps.push(this.current);
      this.mark();
    }

    close(at, shape, look) {
      if (!this.current) return;
      this.current.took.textContent = seconds(at - this.current.at);
      const state = icon(shape, look);
      this.current.state.replaceWith(state);
      this.current.state = state;
    }

    finish() {
      if (this.rest) this.take("\n");
      this.flush();
      this.close(this.last, ...(ENDS[this.good] || ["cancel", "dim"]));
      this.follow.closest("[data-log-control]").hidden = true;
      this.active = false;
      this.settle();
      if (this.good === "0") this.firstError();
    }

    /* All that was there at first has been read: let assistive technology and the address have their turn. */
    settle() {
      if (this.settled) return;
      this.settled = true;
      this.view.removeAttribute("aria-busy");
      if (!this.goToHash() && !this.active) this.view.scrollTop = this.view.scrollHeight;
    }

    firstError() {
      const from = this.current ? this.current.first : 0;
      let index = this.plain.findIndex((text, number) => number >= from && TROUBLE.test(text));
      if (index < 0) index = this.plain.length - 1;
      if (index < 0) return;
      this.error = index + 1;
      const link = element("a", "err", this.words.firstError);
      link.href = `#L${this.error}`;
      this.nav.prepend(link);
      this.pointAtError();
      document.addEventListener("htmx:afterSettle", () => this.pointAtError());
      const row = this.rowAt(index + 1);
      row?.classList.add("hit");
      if (row && !/^#(L\d|step-)/.test(location.hash)) this.show(row);
    }

    /* The sentence that says why a build failed leads to its line, as soon as both are there. */
    pointAtError() {
      const place = document.querySelector("[data-first-error][hidden]");
      if (!place) return;
      const link = element("a", "", `${this.words.firstError}, ${this.words.lineWord} ${this.error}`);
      link.href = `#L${this.error}`;
      place.replaceChildren(link);
      place.hidden = false;
    }

    /* ---- moving ---- */

    rowAt(number) { return this.view.querySelector(`#L${Number(number)}`); }

    /* Scrolls the log alone; the page stays where the reader has it. */
    show(row) {
      const bounds = this.view.getBoundingClientRect();
      this.view.scrollTop += row.getBoundingClientRect().top - bounds.top - bounds.height / 3;
    }

    keepUp() {
      if (!this.follow.checked || !this.active) return;
      this.view.scrollTop = this.view.scrollHeight;
      this.top = this.view.scrollTop;
    }

    scrolled() {
      const up = this.view.scrollTop < this.top - 1;
      const end = this.view.scrollHeight - this.view.clientHeight - this.view.scrollTop < 2 * LINE_HEIGHT;
      if (up && !end) this.follow.checked = false;
      this.top = this.view.scrollTop;
      this.mark();
    }

    /* Which step the reader is in. */
    mark() {
      const edge = this.view.getBoundingClientRect().top + 2 * LINE_HEIGHT;
      let here = this.steps[0];
      for (const step of this.steps) if (step.node.getBoundingClientRect().top <= edge) here = step;
      for (const step of this.steps) {
        if (step === here) step.link.setAttribute("aria-current", "true");
        else step.link.removeAttribute("aria-current");
      }
    }

    goToHash() {
      const found = /^#(L\d+|step-[\w-]+)$/.exec(location.hash);
      const target = found && this.view.querySelector(found[0]);
      if (!target) return false;
      this.follow.checked = false;
      this.view.querySelector(".at")?.classList.remove("at");
      if (target.classList.contains("l")) target.classList.add("at");
      if (target.classList.contains("l")) this.show(target);
      else this.view.scrollTop += target.parentElement.getBoundingClientRect().top - this.view.getBoundingClientRect().top;
      target.scrollIntoView({ block: "nearest" });
      return true;
    }

    /* ---- searching ---- */

    search(text) {
      for (const number of this.found) this.rowAt(number)?.classList.remove("found");
      const wanted = text.trim().toLowerCase();
      this.wanted = wanted;
      this.at = -1;
      this.found = [];
      if (!wanted || /^\d+$/.test(wanted)) return this.say("");
      this.plain.forEach((line, index) => {
        if (line.toLowerCase().includes(wanted)) this.found.push(index + 1);
      });
      for (const number of this.found.slice(0, 5000)) this.rowAt(number).classList.add("found");
      return this.say(this.found.length ? this.count() : this.words.none);
    }

    enter(step) {
      clearTimeout(this.typing);
      const wanted = this.field.value.trim();
      if (/^\d+$/.test(wanted) && this.rowAt(wanted)) {
        location.hash = `L${Number(wanted)}`;
        this.goToHash();
        return;
      }
      if (wanted.toLowerCase() !== this.wanted) this.search(wanted);
      if (!this.found.length) return;
      this.at = (this.at + step + this.found.length) % this.found.length;
      this.follow.checked = false;
      this.view.querySelector(".at")?.classList.remove("at");
      const row = this.rowAt(this.found[this.at]);
      row.classList.add("at");
      this.show(row);
      row.scrollIntoView({ block: "nearest" });
      this.say(this.count());
    }

    count() {
      const place = this.at < 0 ? "" : `${number(this.at + 1)} / `;
      return `${place}${number(this.found.length)}`;
    }

    say(text) { this.status.textContent = text; }
  }

  for (const box of document.querySelectorAll("[data-log-url]")) new Log(box);
})();
