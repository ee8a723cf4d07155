/* The text of a log's line: its parts, its colours, its element. Nothing of a log ever becomes markup: it goes in as
   text, and its colours as the names of classes. */
"use strict";

window.portalLog = {};

(() => {
  const ESCAPE = /\u001b\[([0-9;:]*)m|\u001b\[[0-?]*[ -/]*[@-~]|\u001b\][^\u0007\u001b]*(?:\u0007|\u001b\\)|\u001b./g;
  const SECONDS = /^(\d+\.\d\d)\t/;
  const TROUBLE = /\b(error|fatal|exception|traceback|failed|cannot|could not)\b/i;
  const STEP = "\u001e";
  const SVG = "http://www.w3.org/2000/svg";
  const HUES = ["black", "red", "green", "yellow", "blue", "magenta", "cyan", "white"];
  const NAMES = [...HUES, ...HUES.map((name) => `bright-${name}`)];
  /* What a terminal makes of the sixteen; a colour of the cube, of the greys or of 24 bits becomes the nearest. */
  const SIXTEEN = [
    [0, 0, 0], [205, 0, 0], [0, 205, 0], [205, 205, 0], [0, 0, 238], [205, 0, 205], [0, 205, 205], [229, 229, 229],
    [127, 127, 127], [255, 0, 0], [0, 255, 0], [255, 255, 0], [92, 92, 255], [255, 0, 255], [0, 255, 255], [255, 255, 255],
  ];
  const STYLES = { 1: "bold", 2: "dim", 3: "italic", 4: "under", 7: "inverse", 9: "struck", 21: "under" };
  const ENDS = { 22: ["bold", "dim"], 23: ["italic"], 24: ["under"], 27: ["inverse"], 29: ["struck"] };

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
  const counted = (value) => value.toLocaleString(tongue);
  const decimal = new Intl.NumberFormat(tongue, { minimumFractionDigits: 1, maximumFractionDigits: 1 });
  const comma = decimal.format(0.5)[1];
  const fixed = (value, places) => value.toFixed(places).replace(".", comma);

  const duration = (value) => {
    if (!Number.isFinite(value)) return "";
    if (value < 59.95) return `${fixed(value, value < 0.995 ? 2 : 1)} s`;
    return `${Math.floor(Math.round(value) / 60)} min ${Math.round(value) % 60} s`;
  };

  /* ---- Select Graphic Rendition ------------------------------------------------------------------------------ */

  const nearest = (rgb) => {
    const far = SIXTEEN.map((one) => one.reduce((sum, value, at) => sum + (value - rgb[at]) ** 2, 0));
    return NAMES[far.indexOf(Math.min(...far))];
  };

  const indexed = (number) => {
    if (number < 16) return NAMES[number];
    if (number > 231) return nearest(Array(3).fill(8 + 10 * (number - 232)));
    const level = (part) => (part ? 55 + 40 * part : 0);
    const cube = number - 16;
    return nearest([level(Math.floor(cube / 36)), level(Math.floor(cube / 6) % 6), level(cube % 6)]);
  };

  const shade = (kind, values) => {
    if (kind === 5 && values[0] >= 0 && values[0] < 256) return indexed(values[0]);
    return kind === 2 && values.length >= 3 ? nearest(values) : "";
  };

  class Brush {
    constructor(other) {
      this.ink = other ? other.ink : "";
      this.paper = other ? other.paper : "";
      this.styles = new Set(other ? other.styles : []);
    }

    get look() { return [this.ink, this.paper && `on-${this.paper}`, ...this.styles].filter(Boolean).join(" "); }

    take(codes) {
      const list = codes.split(";");
      while (list.length) {
        const parts = list.shift().split(":").map(Number);
        if ([38, 48, 58].includes(parts[0])) this.colour(parts, list);
        else this.one(parts[0], parts[1]);
      }
    }

    /* 38;5;n and 38;2;r;g;b take what follows; 38:5:n and 38:2:[space]:r:g:b have it with them. */
    colour(parts, list) {
      let [code, kind, ...values] = parts;
      if (kind === undefined) {
        kind = Number(list.shift());
        values = list.splice(0, { 5: 1, 2: 3 }[kind] ?? 0).map(Number);
      }
      const name = shade(kind, values.length > 3 ? values.slice(1) : values);
      if (code === 38) this.ink = name;
      if (code === 48) this.paper = name;
    }

    one(code, detail) {
      if (code === 0) Object.assign(this, new Brush());
      else if (code === 4 && detail === 0) this.styles.delete("under");
      else if (STYLES[code]) this.styles.add(STYLES[code]);
      else if (ENDS[code]) ENDS[code].forEach((style) => this.styles.delete(style));
      else if (code === 39) this.ink = "";
      else if (code === 49) this.paper = "";
      else if (code >= 30 && code <= 37) this.ink = NAMES[code - 30];
      else if (code >= 40 && code <= 47) this.paper = NAMES[code - 40];
      else if (code >= 90 && code <= 97) this.ink = NAMES[code - 82];
      else if (code >= 100 && code <= 107) this.paper = NAMES[code - 92];
    }
  }

  const isColoured = (text) => text.includes("\u001b");

  /* Puts a line's text into `into`, with its colours; it begins with those that the line before has left. */
  const paint = (text, into, left) => {
    if (!left && !isColoured(text)) {
      into.textContent = text;
      return;
    }
    const brush = new Brush(left);
    const put = (piece) => { if (piece) into.append(brush.look ? element("span", brush.look, piece) : piece); };
    let end = 0;
    for (const found of text.matchAll(ESCAPE)) {
      put(text.slice(end, found.index));
      if (found[1] !== undefined) brush.take(found[1]);
      end = found.index + found[0].length;
    }
    put(text.slice(end));
  };

  /* The colours that a line leaves to the next: null when there are none, which is nearly always. */
  const leftBy = (text, before) => {
    if (!isColoured(text)) return before;
    if (text.endsWith("\u001b[0m") || text.endsWith("\u001b[m")) return null;
    const brush = new Brush(before);
    for (const found of text.matchAll(ESCAPE)) if (found[1] !== undefined) brush.take(found[1]);
    return brush.look ? brush : null;
  };

  /* ---- a line as it lies on the disk: `<seconds>\t<text>`, with the mark of a step before its name --------- */

  const secondsOf = (raw) => { const found = SECONDS.exec(raw); return found ? Number(found[1]) : 0; };
  const textOf = (raw) => (SECONDS.test(raw) ? raw.slice(raw.indexOf("\t") + 1) : raw);
  const stripped = (text) => (isColoured(text) ? text.replace(ESCAPE, "") : text);

  const plainOf = (raw) => stripped(textOf(raw));

  /* The number of the first line from `first` on that looks like an error, else of the last one; 0 of an empty log. */
  const firstTrouble = (lines, first) => {
    const found = lines.findIndex((raw, at) => at + 1 >= first && TROUBLE.test(plainOf(raw)));
    return found < 0 ? lines.length : found + 1;
  };

  /* How many letters of a line have room beside its number and time. */
  const columnsOf = (view) => {
    const probe = element("div", "chunk");
    const [room, letter] = [element("div"), element("span", "", "x")];
    room.append(letter);
    probe.append(room);
    view.append(probe);
    const columns = room.getBoundingClientRect().width / letter.getBoundingClientRect().width;
    probe.remove();
    return columns > 20 ? Math.floor(columns) : 20;
  };

  Object.assign(window.portalLog, {
    STEP, element, icon, duration, columnsOf, paint, leftBy, secondsOf, textOf, plainOf, firstTrouble, counted,
    fixed,
  });
})();
