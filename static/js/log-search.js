/* The search in a log: which lines have the text, how many, the one that the reader stands at, and the marks. */
"use strict";

(() => {
  const { plainOf, counted } = window.portalLog;
  const MARKS = "highlights" in CSS;
  const TYPING = 50; // milliseconds

  window.portalLog.Search = class {
    constructor(box, log) {
      Object.assign(this, { log, wanted: "", lines: [], known: new Set(), looked: 0, at: -1 });
      this.field = box.querySelector("[data-log-find]");
      this.moves = [...box.querySelectorAll("[data-log-move]")];
      this.field.addEventListener("keydown", (event) => this.key(event));
      this.field.addEventListener("input", () => {
        clearTimeout(this.typing);
        this.typing = setTimeout(() => this.begin(this.field.value), TYPING);
      });
      for (const button of this.moves) button.addEventListener("click", () => this.move(Number(button.dataset.logMove)));
      if (MARKS) {
        this.marks = new Highlight();
        CSS.highlights.set("log-found", this.marks);
      }
    }

    get line() { return this.lines[this.at]; }

    key(event) {
      if (event.key === "Escape" && this.field.value) {
        event.preventDefault();
        this.field.value = "";
        this.begin("");
      }
      if (event.key !== "Enter") return;
      event.preventDefault();
      const number = /^\d+$/.test(this.field.value.trim()) ? Number(this.field.value) : 0;
      if (number && this.log.goToLine(number)) return;
      this.move(event.shiftKey ? -1 : 1);
    }

    begin(text) {
      clearTimeout(this.typing);
      Object.assign(this, { wanted: text.trim().toLowerCase(), lines: [], known: new Set(), looked: 0, at: -1 });
      this.goOn();
      this.log.dressAll();
    }

    /* Over the lines that have come since. */
    goOn() {
      const { raw } = this.log;
      if (this.wanted) {
        for (let at = this.looked; at < raw.length; at += 1) {
          if (plainOf(raw[at]).toLowerCase().includes(this.wanted)) {
            this.lines.push(at + 1);
            this.known.add(at + 1);
          }
        }
      }
      this.looked = raw.length;
      this.tell();
    }

    move(step) {
      if (this.field.value.trim().toLowerCase() !== this.wanted) this.begin(this.field.value);
      if (!this.lines.length) return;
      this.at = this.at < 0 && step < 0 ? this.lines.length - 1 : (this.at + step + this.lines.length) % this.lines.length;
      this.log.show(this.line);
      this.tell();
    }

    tell() {
      for (const button of this.moves) button.disabled = !this.lines.length;
      const count = counted(this.lines.length);
      const place = this.at < 0 ? "" : `${counted(this.at + 1)} / `;
      this.log.say("status", !this.wanted ? "" : this.lines.length ? `${place}${count}` : this.log.words.none);
    }

    /* ---- marks, on the rows that there are at this moment ---- */

    clear() { this.marks?.clear(); }

    mark(row, number) {
      const isFound = this.known.has(number);
      row.classList.toggle("match", isFound);
      row.classList.toggle("current", isFound && number === this.line);
      if (isFound && MARKS) for (const range of this.ranges(row.lastElementChild)) this.marks.add(range);
    }

    *ranges(words) {
      const text = words.textContent.toLowerCase();
      if (text.length !== words.textContent.length) return; // a letter that changes its length: the row's colour will do
      for (let at = text.indexOf(this.wanted); at >= 0; at = text.indexOf(this.wanted, at + this.wanted.length)) {
        const range = new Range();
        range.setStart(...place(words, at));
        range.setEnd(...place(words, at + this.wanted.length));
        yield range;
      }
    }
  };

  /* The text node of a line's place, and where in it. */
  const place = (words, at) => {
    const walker = document.createTreeWalker(words, NodeFilter.SHOW_TEXT);
    let node = walker.nextNode();
    while (at > node.data.length) {
      at -= node.data.length;
      node = walker.nextNode();
    }
    return [node, at];
  };
})();
