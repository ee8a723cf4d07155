/* The steps of a log: a head that stays on top while its lines pass, its time, and its place in the list of links. */
"use strict";

(() => {
  const { element, icon, duration } = window.portalLog;
  const EDGE = 40; // pixels below the view's top at which a step counts as the one that the reader is in

  window.portalLog.Steps = class {
    constructor(view, links) { Object.assign(this, { view, links, all: new Map(), current: null }); }

    /* What lines are put into: the step's section, or the log itself before the first step. */
    get place() { return this.current ? this.current.node : this.view; }

    /* `number` is the line that begins it, `at` the seconds at which. */
    begin(name, number, at, isActive) {
      const node = element("section", "step");
      const id = `step-${name.replace(/[^a-z0-9_-]/gi, "-")}`;
      node.id = document.getElementById(id) ? `${id}-${this.all.size + 1}` : id;
      const state = icon("run", isActive ? "turn run" : "run");
      const took = element("span");
      const head = element("h3", "s");
      head.append(state, element("b", "", name), took);
      node.append(head);
      this.view.append(node);
      const link = element("a", "", name);
      link.href = `#${node.id}`;
      this.links.append(link);
      this.current = { node, state, took, link, at, first: number + 1 };
      this.all.set(number, this.current);
    }

    /* How long the current one has taken, when its last line came at `at`. */
    time(at) { if (this.current) this.current.took.textContent = duration(at - this.current.at); }

    close(at, shape, look) {
      if (!this.current) return;
      this.time(at);
      this.current.state.replaceWith(icon(shape, look));
    }

    mark() {
      const edge = this.view.getBoundingClientRect().top + EDGE;
      let here = null;
      for (const step of this.all.values()) {
        if (!here || step.node.getBoundingClientRect().top <= edge) here = step;
        step.link.removeAttribute("aria-current");
      }
      here?.link.setAttribute("aria-current", "true");
    }
  };
})();
