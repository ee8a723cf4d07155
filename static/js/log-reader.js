/* Reads a log as it grows: asks for what is new by its offset, gives it on as whole lines, and says when it cannot. */
"use strict";

(() => {
  const SECOND = 1000;
  const SOON = 400; // while lines come, so that what is shown is never far behind
  const LONGEST_WAIT = 15 * SECOND;
  const LINE_END = 10;

  const joined = (one, other) => {
    if (!one.length) return other;
    const both = new Uint8Array(one.length + other.length);
    both.set(one);
    both.set(other, one.length);
    return both;
  };

  /* `hear` is told: take(text) whole lines; caughtUp() after each answer; anew() when the log was begun again;
     trouble(kind) with "" when it is over; finish(good) at the end, good is true, false or null for neither. */
  window.portalLog.Reader = class {
    constructor(address, hear) {
      Object.assign(this, { address, hear, offset: 0, wait: SECOND, done: false, wake: () => {} });
      this.decoder = new TextDecoder();
      addEventListener("online", () => this.wake());
      document.addEventListener("visibilitychange", () => { if (!document.hidden) this.wake(); });
    }

    async run() {
      while (!this.done) {
        const began = performance.now();
        const every = await this.ask();
        if (!this.done) await this.pause(every - (performance.now() - began));
      }
    }

    pause(milliseconds) {
      return new Promise((resolve) => {
        this.wake = resolve;
        setTimeout(resolve, Math.max(0, milliseconds));
      });
    }

    /* Answers after how many milliseconds to ask again. */
    async ask() {
      const before = this.offset;
      try {
        await this.answer();
        this.wait = SECOND;
      } catch {
        this.wait = Math.min(this.wait * 2, LONGEST_WAIT);
        this.hear.trouble("unreadable");
        return this.wait;
      }
      return this.offset === before ? SECOND : SOON;
    }

    async answer() {
      const address = new URL(this.address, location);
      address.searchParams.set("offset", this.offset);
      const answer = await fetch(address, { cache: "no-store" });
      const next = Number(answer.headers.get("X-Next-Offset") ?? NaN);
      if (answer.redirected) return this.end(() => this.hear.trouble("signedOut"));
      if (!answer.ok || Number.isNaN(next)) throw new Error(`status ${answer.status}`);
      if (next < this.offset) { // a preview's log is copied anew when its sweeper was started again
        this.offset = 0;
        return this.hear.anew();
      }
      const isOver = answer.headers.get("X-Log-Done") === "1";
      await this.read(answer.body.getReader(), isOver);
      this.hear.caughtUp();
      this.hear.trouble("");
      const good = { 0: false, 1: true }[answer.headers.get("X-Log-Good")] ?? null;
      return isOver ? this.end(() => this.hear.finish(good)) : undefined;
    }

    end(say) {
      this.done = true;
      say();
    }

    /* When the answer breaks off, what is no whole line yet is forgotten, and asked for again. */
    async read(source, isOver) {
      let rest = new Uint8Array(0);
      for (;;) {
        const { done, value } = await source.read();
        if (done) break;
        const whole = value.lastIndexOf(LINE_END) + 1;
        if (whole) this.give(joined(rest, value.subarray(0, whole)));
        rest = whole ? value.slice(whole) : joined(rest, value);
      }
      if (isOver && rest.length) this.give(joined(rest, Uint8Array.of(LINE_END))); // its writer was killed
    }

    give(bytes) {
      this.offset += bytes.length;
      this.hear.take(this.decoder.decode(bytes));
    }
  };
})();
