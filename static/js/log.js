/* The live log. All its lines are text in chunks, which cost next to nothing while they are out of sight and are found by
   the browser's own search; near the view a chunk's lines become rows with number, time and colours. */
"use strict";

(() => {
  const { STEP, element, columnsOf, paint, leftBy, secondsOf, textOf, plainOf, firstTrouble } = window.portalLog;
  const { Reader, Search, Steps, counted, fixed } = window.portalLog;
  const LINES = 200; // of a chunk,
  const LETTERS = 64 * 1024; // or so many letters: a browser lays out long lines slowly
  const LINE_HEIGHT = 20;
  const NEAR = 800; // pixels above and below the view in which chunks are rows
  const PATIENCE = 150; // milliseconds until what was read so far of a long log is shown
  const PLACE = /^#(?:L(\d+)(?:-L?(\d+))?|(step-[\w-]+))$/;
  const SETTLING = 1000; // milliseconds for which a line that was gone to is held in its place
  const UPWARDS = ["ArrowUp", "PageUp", "Home"];

  class Log {
    constructor(box) {
      this.box = box;
      this.words = box.dataset;
      const part = (name) => box.querySelector(`[data-log-${name}]`);
      Object.assign(this, { view: part("lines"), links: part("steps"), follow: part("follow"), pill: part("pill") });
      this.active = box.dataset.active === "1";
      this.search = new Search(box, this);
      this.near = new IntersectionObserver((seen) => this.seen(seen), { root: this.view, rootMargin: `${NEAR}px 0px` });
      this.empty();
      for (const control of box.querySelectorAll("[data-log-control]")) control.hidden = false;
      this.follow.closest("[data-log-control]").hidden = !this.active;
      box.classList.toggle("live", this.active);
      this.follow.checked = this.active && !PLACE.test(location.hash);
      this.listen();
      this.view.setAttribute("aria-busy", "true");
      new Reader(this.words.logUrl, this).run();
    }

    /* As it is before the first line. */
    empty() {
      this.near.disconnect();
      this.view.replaceChildren();
      this.links.replaceChildren();
      Object.assign(this, {
        raw: [], chunks: [], drawn: new Set(), changed: new Set(), painted: new Map(), chunk: null,
        steps: new Steps(this.view, this.links), left: null, last: 0, top: 0, height: 0, told: 0, held: null, shown: performance.now(), range: [0, 0],
      });
      this.columns = columnsOf(this.view);
      this.awaits = PLACE.test(location.hash);
    }

    listen() {
      const { view } = this;
      view.addEventListener("scroll", () => this.scrolled(), { passive: true });
      view.addEventListener("wheel", (event) => { if (event.deltaY < 0) this.stay(); }, { passive: true });
      view.addEventListener("click", (event) => this.pick(event));
      this.box.addEventListener("keydown", (event) => this.key(event));
      this.follow.addEventListener("change", () => this.setFollow(this.follow.checked));
      this.pill.addEventListener("click", () => this.toEnd());
      for (const hand of ["wheel", "pointerdown", "touchstart", "keydown"]) {
        view.addEventListener(hand, () => { this.held = null; }, { passive: true });
      }
      document.addEventListener("click", (event) => {
        if (event.target.closest(`a[href="${location.hash || "#"}"]`)) this.goToHash(); // no change, so nobody else says
      });
      new ResizeObserver(() => this.keepUp()).observe(view);
      addEventListener("hashchange", () => this.goToHash());
      document.addEventListener("htmx:afterSettle", () => this.pointAtError());
    }

    say(kind, text) {
      const place = this.box.querySelector(`[data-log-${kind}]`);
      if (place.textContent !== text) place.textContent = text;
    }

    /* ---- what the reader gives ---- */

    take(text) {
      let from = 0;
      for (let to = text.indexOf("\n"); to >= 0; from = to + 1, to = text.indexOf("\n", from)) this.line(text.slice(from, to));
      if (performance.now() - this.shown > PATIENCE) this.showChanged();
    }

    caughtUp() {
      this.showChanged();
      if (this.awaits) this.goToHash();
      this.view.removeAttribute("aria-busy");
      this.view.dataset.read = ""; // only now can it be called empty
    }

    anew() {
      this.empty();
      this.search.begin(this.search.field.value);
    }

    trouble(kind) {
      const line = this.awaits && Number(PLACE.exec(location.hash)?.[1]);
      const awaited = line > this.raw.length && this.active ? this.words.awaited.replace("{n}", counted(line)) : "";
      this.say("trouble", kind ? this.words[kind] : awaited);
    }

    finish(good) {
      const mayMove = this.follow.checked || (!this.active && (this.awaits || !PLACE.test(location.hash)));
      this.steps.close(this.last, good === null ? "cancel" : good ? "ok" : "fail", good === null ? "dim" : good ? "done" : "bad");
      this.active = false;
      this.ended = good === null ? "" : good ? "good" : "bad";
      this.box.classList.remove("live");
      this.dressAll();
      this.setFollow(false);
      this.follow.closest("[data-log-control]").hidden = true;
      if (good === false) this.findError();
      if (mayMove && this.error) this.show(this.error, { page: false });
      else if (mayMove) this.toEnd();
    }

    line(raw) {
      this.raw.push(raw);
      const text = textOf(raw);
      if (text.startsWith(STEP)) {
        this.begin(text.slice(1).trim(), raw);
        return;
      }
      const before = this.left;
      if (before) this.painted.set(this.raw.length, before);
      this.left = leftBy(text, before);
      if (!this.chunk || this.chunk.count >= LINES || this.chunk.letters >= LETTERS) this.newChunk();
      this.chunk.count += 1;
      this.chunk.letters += text.length;
      this.chunk.tall += Math.max(1, Math.ceil(text.length / this.columns));
      this.changed.add(this.chunk);
    }

    newChunk() {
      const node = element("div", "chunk");
      this.chunk = { node, first: this.raw.length, count: 0, letters: 0, tall: 0, rows: 0 };
      node.log = this.chunk;
      this.chunks.push(this.chunk);
      this.chunk.place = this.steps.place;
    }

    begin(name, raw) {
      this.steps.close(secondsOf(raw), "ok", "done");
      this.steps.begin(name, this.raw.length, secondsOf(raw), this.active);
      this.chunk = this.left = null;
      if (this.active && !this.view.hasAttribute("aria-busy")) this.say("said", name);
    }

    /* ---- showing ---- */

    showChanged() {
      const digits = String(this.raw.length).length;
      if (digits > 3) this.box.style.setProperty("--digits", digits);
      for (const chunk of this.changed) {
        chunk.node.style.containIntrinsicBlockSize = `auto ${chunk.tall * LINE_HEIGHT}px`;
        if (!chunk.node.isConnected) this.add(chunk);
        if (chunk.rows) this.draw(chunk);
        else chunk.node.textContent = this.text(chunk);
      }
      this.changed.clear();
      if (this.follow.checked) this.drawEnd();
      this.last = this.raw.length ? secondsOf(this.raw[this.raw.length - 1]) || this.last : 0;
      this.steps.time(this.last);
      this.search.goOn();
      this.keepUp();
      this.shown = performance.now();
    }

    add(chunk) {
      chunk.place.append(chunk.node);
      this.near.observe(chunk.node);
    }

    text(chunk) {
      const lines = this.raw.slice(chunk.first - 1, chunk.first - 1 + chunk.count);
      return `${lines.map(plainOf).join("\n")}\n`; // without the last one an empty line at the end would have no height
    }

    /* A chunk's lines as rows: those that it has not yet. */
    draw(chunk) {
      if (!chunk.rows) chunk.node.textContent = "";
      const fragment = document.createDocumentFragment();
      for (; chunk.rows < chunk.count; chunk.rows += 1) fragment.append(this.row(chunk.first + chunk.rows));
      chunk.node.append(fragment);
      chunk.node.classList.add("rows");
      this.drawn.add(chunk);
    }

    undraw(chunk) {
      chunk.node.textContent = this.text(chunk);
      chunk.node.classList.remove("rows");
      chunk.rows = 0;
      this.drawn.delete(chunk);
    }

    drawEnd() {
      let lines = (this.view.clientHeight + NEAR) / LINE_HEIGHT;
      for (let at = this.chunks.length - 1; at >= 0 && lines > 0; at -= 1) {
        this.draw(this.chunks[at]);
        lines -= this.chunks[at].count;
      }
    }

    row(number) {
      const raw = this.raw[number - 1];
      const row = element("div", "l");
      row.id = `L${number}`;
      const words = element("span");
      paint(textOf(raw), words, this.painted.get(number));
      row.append(element("b", "n", number), element("i", "", fixed(secondsOf(raw), 2)), words);
      this.dress(row, number);
      return row;
    }

    dress(row, number) {
      row.classList.toggle("hit", number === this.error);
      if (this.ended) row.classList.toggle(this.ended, number === this.raw.length);
      row.classList.toggle("at", number >= this.range[0] && number <= this.range[1]);
      this.search.mark(row, number);
    }

    dressAll() {
      this.search.clear();
      for (const chunk of this.drawn) [...chunk.node.children].forEach((row, at) => this.dress(row, chunk.first + at));
    }

    /* Chunks come near the view, or leave it; what the reader has selected stays as it is. */
    seen(entries) {
      const selected = getSelection();
      for (const { isIntersecting, target } of entries) {
        if (isIntersecting) this.draw(target.log);
        else if (target.log.rows && (selected.isCollapsed || !selected.containsNode(target, true))) this.undraw(target.log);
      }
      this.keepUp();
    }

    /* ---- moving ---- */

    setFollow(on) {
      this.follow.checked = on;
      this.held = null;
      this.keepUp();
    }

    /* The reader has taken over. */
    stay() {
      this.awaits = false;
      this.held = null;
      if (this.follow.checked && this.view.scrollHeight > this.view.clientHeight) this.setFollow(false);
    }

    keepUp() {
      if (this.follow.checked || this.view.hasAttribute("aria-busy")) this.told = this.raw.length;
      if (this.follow.checked) this.scrollTo(this.view.scrollHeight);
      else if (this.held) this.hold();
      this.tellPill();
      this.steps.mark();
    }

    scrollTo(top) {
      this.view.scrollTop = top;
      this.top = this.view.scrollTop;
      this.height = this.view.scrollHeight;
    }

    isAtEnd() { return this.view.scrollHeight - this.view.clientHeight - this.view.scrollTop < 2 * LINE_HEIGHT; }

    scrolled() {
      const { scrollTop, scrollHeight } = this.view;
      const atEnd = this.isAtEnd();
      if (this.held && performance.now() > this.held.until) this.held = null;
      if (scrollTop < this.top - 1 && scrollHeight >= this.height && !atEnd) this.stay();
      else if (scrollTop > this.top + 1 && atEnd && this.active && !this.follow.checked) this.setFollow(true);
      this.top = scrollTop;
      this.height = scrollHeight;
      this.tellPill();
      this.steps.mark();
    }

    /* The way back, with what has come since the reader left the end. */
    tellPill() {
      this.pill.hidden = this.follow.checked || this.isAtEnd();
      const count = this.raw.length - this.told;
      const text = this.words[!this.active ? "toEnd" : count === 1 ? "newLine" : count ? "newLines" : "toFollow"];
      this.pill.firstElementChild.textContent = text.replace("{n}", counted(count));
    }

    toEnd() {
      if (this.active) this.setFollow(true);
      this.held = null;
      this.drawEnd();
      this.scrollTo(this.view.scrollHeight);
      this.tellPill();
    }

    chunkOf(number) {
      let low = 0;
      let high = this.chunks.length - 1;
      while (low < high) {
        const middle = Math.ceil((low + high) / 2);
        if (this.chunks[middle].first <= number) low = middle;
        else high = middle - 1;
      }
      return this.chunks[low];
    }

    nodeOf(number) {
      if (this.steps.all.has(number)) return this.steps.all.get(number).node;
      const chunk = this.chunkOf(number);
      this.draw(chunk);
      return chunk.node.children[number - chunk.first];
    }

    /* Scrolls the log to a line, and the page only as far as the log is out of sight. */
    show(number, { page = true } = {}) {
      this.awaits = false;
      this.setFollow(false);
      const node = this.nodeOf(number);
      this.held = { node, part: node.className === "step" ? 0 : 1 / 3, until: performance.now() + SETTLING };
      this.hold();
      if (page) this.box.scrollIntoView({ block: "nearest" });
      this.dressAll();
    }

    /* The line stays in its place while the chunks around it become rows and turn out higher or lower. */
    hold() {
      if (!this.held.node.isConnected) return;
      const bounds = this.view.getBoundingClientRect();
      this.scrollTo(this.view.scrollTop + this.held.node.getBoundingClientRect().top - bounds.top - this.held.part * bounds.height);
    }

    goToLine(number) {
      if (number < 1 || number > this.raw.length) return false;
      this.name(number, number);
      this.show(number);
      return true;
    }

    /* Makes some lines the page's address. */
    name(from, to) {
      this.range = [from, to];
      history.replaceState(history.state, "", from === to ? `#L${from}` : `#L${from}-L${to}`);
      this.dressAll();
    }

    goToHash() {
      const [, first, second, step] = PLACE.exec(location.hash) || [];
      const place = [...this.steps.all].find(([, one]) => one.node.id === step);
      const [from, to] = [Number(first), Number(second || first)].sort((one, other) => one - other);
      if (place) {
        this.show(place[0]);
      } else if (from >= 1 && from <= this.raw.length) {
        this.range = [from, to];
        this.show(from);
      }
    }

    pick(event) {
      const number = Number(event.target.closest("b.n")?.textContent);
      if (!number) return;
      const other = event.shiftKey && this.range[0] ? this.range[0] : number;
      this.stay();
      this.name(Math.min(number, other), Math.max(number, other));
    }

    /* Inside the log alone, so that no key is taken from the page. */
    key(event) {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.target !== this.view) return;
      if (UPWARDS.includes(event.key)) this.stay();
      else if (event.key === "End" && this.active) this.toEnd(); // there may be nothing left to scroll
      else if (event.key === "n") this.search.move(1);
      else if (event.key === "N") this.search.move(-1);
      else if (event.key === "/") this.search.field.focus();
      if (event.key !== "/") return;
      event.preventDefault();
      event.stopPropagation();
    }

    /* ---- the first error ---- */

    findError() {
      const known = Number(this.words.errorLine || document.querySelector("[data-error-line]")?.dataset.errorLine);
      this.error = known >= 1 && known <= this.raw.length ? known : firstTrouble(this.raw, this.steps.current?.first ?? 1);
      if (!this.error) return;
      const link = element("a", "err", this.words.firstError);
      link.href = `#L${this.error}`;
      this.links.prepend(link);
      this.pointAtError();
      this.dressAll();
    }

    /* The sentence that says why a build failed leads to its line, as soon as both are there. */
    pointAtError() {
      const place = document.querySelector("[data-first-error][hidden]");
      if (!place || !this.error) return;
      const link = element("a", "", `${this.words.firstError}, ${this.words.lineWord} ${this.error}`);
      link.href = `#L${this.error}`;
      place.replaceChildren(link);
      place.hidden = false;
    }
  }

  for (const box of document.querySelectorAll("[data-log-url]")) new Log(box);
})();
