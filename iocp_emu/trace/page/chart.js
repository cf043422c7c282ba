/* The picture: a row for each thread and processor, then three for each port, drawn on a canvas.
 *
 * What is drawn is found once, as runs (from, until, what) by row; then only what is in view is drawn, and where a pixel
 * holds many runs, one of them.  Colours come from the style sheet, so that light and dark are decided there; each
 * activity has a pattern as well, so that nothing depends on colour.
 */
"use strict";

const ROW_HEIGHT = 22;
const GRAPH_HEIGHT = 46;
const HEAD_HEIGHT = 22;
const LEAST_VIEW = 4;
const COLOURS = ["paper", "ink", "soft", "line", "panel", "mark", "over", "queued", "parked", "running"];

const PATTERNS = {
  running: [],
  ready: [[0, 8, 8, 0]],
  parked: [],
  blocked: [[0, 0, 8, 8], [0, 8, 8, 0]],
  suspended: [[4, 0, 4, 8]],
};

/** Fill styles by activity: the colour of the style sheet, with lines across it. */
function makeFills(context, style) {
  const fills = {};
  for (const [name, lines] of Object.entries(PATTERNS)) {
    const colour = style.getPropertyValue(`--${name}`).trim();
    const tile = document.createElement("canvas");
    tile.width = 8;
    tile.height = 8;
    const inner = tile.getContext("2d");
    inner.fillStyle = colour;
    inner.fillRect(0, 0, 8, 8);
    inner.strokeStyle = style.getPropertyValue("--panel").trim();
    inner.globalAlpha = 0.45;
    for (const [x1, y1, x2, y2] of lines) {
      inner.beginPath();
      inner.moveTo(x1, y1);
      inner.lineTo(x2, y2);
      inner.stroke();
    }
    fills[name] = lines.length ? context.createPattern(tile, "repeat") : colour;
  }
  return fills;
}

class Chart {
  constructor(trace, holder, spacer, canvas) {
    this.trace = trace;
    this.holder = holder;
    this.spacer = spacer;
    this.canvas = canvas;
    this.picture = document.createElement("canvas");
    this.context = canvas.getContext("2d");
    this.scale = "steps";
    this.at = 0;
    this.marked = -1;
    this.measure();
    this.#findRuns();
    this.#placeRows();
    this.#placeEvents();
    this.fit();
    this.recolour();
  }

  // -- what there is -----------------------------------------------------------------------------------------------

  /** Runs of threads and processors, and the counts of ports, each by the index of the event that began it. */
  #findRuns() {
    const { trace } = this;
    this.threadRuns = trace.names.map(() => ({ starts: [], values: [] }));
    this.processorRuns = Array.from({ length: trace.processors ?? 0 }, () => ({ starts: [], values: [] }));
    this.portRuns = new Map(
      trace.ports.map(([port]) => [port, { starts: [], depth: [], waiting: [], active: [], most: 1 }]),
    );
    const where = new Map();
    trace.events.forEach((raw, index) => {
      if (raw.length > 4) {
        const run = this.portRuns.get(raw[2]);
        const [, , , , , , active, depth, waiting] = raw;
        run.starts.push(index);
        run.active.push(active);
        run.depth.push(depth);
        run.waiting.push(waiting);
        return;
      }
      const [, thread, activity, processor] = raw;
      push(this.threadRuns[thread], index, activity);
      const before = where.get(thread) ?? -1;
      if (before >= 0 && before !== processor) push(this.processorRuns[before], index, -1);
      if (processor >= 0) push(this.processorRuns[processor], index, thread);
      where.set(thread, processor);
    });
  }

  #placeRows() {
    this.rows = [];
    let top = HEAD_HEIGHT;
    const add = (row) => {
      this.rows.push({ ...row, top });
      top += row.height;
    };
    this.trace.names.slice(0, this.trace.threadCount).forEach((name, index) => {
      add({ kind: "thread", label: name, runs: this.threadRuns[index], height: ROW_HEIGHT });
    });
    this.processorRuns.forEach((runs, index) => {
      add({ kind: "processor", label: `processor ${index}`, runs, height: ROW_HEIGHT });
    });
    for (const [port, limit] of this.trace.ports) {
      const runs = this.portRuns.get(port);
      const name = this.trace.ports.length > 1 ? `, port ${port}` : "";
      const graph = (what, label, colour) =>
        add({ kind: "graph", label: `${label}${name}`, runs, what, colour, limit, height: GRAPH_HEIGHT });
      graph("depth", "queued", "queued");
      graph("waiting", "parked", "parked");
      graph("active", "counted", "running");
    }
    this.height = top + 4;
    this.spacer.style.height = `${this.height}px`;
  }

  /** Where each event stands on the horizontal axis: by its number, or by its time. */
  #placeEvents() {
    const { trace } = this;
    this.places = new Float64Array(trace.length + 1);
    for (let index = 0; index < trace.length; index += 1) {
      this.places[index] = this.scale === "steps" ? index : trace.events[index][0];
    }
    const end = this.scale === "steps" ? trace.length : this.places[Math.max(trace.length - 1, 0)] * 1.02 || 1;
    this.places[trace.length] = end;
    this.full = [this.scale === "steps" || !trace.length ? 0 : this.places[0], end];
    if (this.full[1] <= this.full[0]) this.full[1] = this.full[0] + 1;
  }

  setScale(scale) {
    this.scale = scale;
    this.#placeEvents();
    this.fit();
  }

  recolour() {
    this.style = getComputedStyle(document.documentElement);
    this.colours = new Map(COLOURS.map((name) => [name, this.style.getPropertyValue(`--${name}`).trim()]));
    this.fills = makeFills(this.context, this.style);
    this.draw();
  }

  colour(name) {
    return this.colours.get(name);
  }

  // -- the view ----------------------------------------------------------------------------------------------------

  fit() {
    this.view = [...this.full];
    this.draw();
  }

  /** Make the view `factor` times as wide, keeping the place `around` where it is. */
  zoom(factor, around) {
    const [from, to] = this.view;
    const whole = this.full[1] - this.full[0];
    const least = this.scale === "steps" ? Math.min(LEAST_VIEW, whole) : whole / Math.max(this.trace.length, 10);
    const width = Math.min(Math.max((to - from) * factor, least), whole);
    const share = (around - from) / (to - from);
    this.#show(around - share * width, width);
  }

  /** Move the view by this share of its width. */
  pan(share) {
    const [from, to] = this.view;
    this.#show(from + share * (to - from), to - from);
  }

  #show(from, width) {
    const start = Math.max(this.full[0], Math.min(from, this.full[1] - width));
    this.view = [start, start + width];
    this.draw();
  }

  /** Mark the moment after `number` events, and move the view if it is not inside. */
  setPosition(number, event) {
    this.at = number;
    this.marked = event;
    const place = this.placeOf(number);
    const [from, to] = this.view;
    if (place < from || place > to) this.#show(place - (to - from) / 2, to - from);
    else this.draw();
  }

  placeOf(number) {
    return number ? this.places[number - 1] + (this.scale === "steps" ? 1 : 0) : this.full[0];
  }

  /** Look at the size of the canvas: once for each picture, since asking is slow. */
  measure() {
    this.width = this.canvas.clientWidth;
    this.left = this.width < 600 ? 92 : 150;
    this.room = Math.max(this.width - this.left - 6, 1);
  }

  x(place) {
    return this.left + ((place - this.view[0]) / (this.view[1] - this.view[0])) * this.room;
  }

  placeAt(x) {
    return this.view[0] + ((x - this.left) / this.room) * (this.view[1] - this.view[0]);
  }

  /** How many events have happened at this x. */
  numberAt(x) {
    const place = Math.max(this.placeAt(x), this.full[0]);
    if (this.scale === "steps") return Math.min(Math.max(Math.round(place), 0), this.trace.length);
    return lastAtMost(this.places.subarray(0, this.trace.length), place) + 1;
  }

  /** In words, what stands at this point. */
  describe(x, y) {
    const row = this.rows.find((each) => y >= each.top && y < each.top + each.height);
    if (!row || x < this.left) return "";
    const index = this.numberAt(x) - 1;
    const run = lastAtMost(row.runs.starts, Math.max(index, 0));
    if (run < 0) return `${row.label}: nothing yet`;
    if (row.kind === "graph") {
      const limit = row.what === "active" && row.limit !== null ? ` of ${row.limit}` : "";
      return `${row.label}: ${row.runs[row.what][run]}${limit}`;
    }
    const until = row.runs.starts[run + 1] ?? this.trace.length - 1;
    const times = `${formatSeconds(this.#time(row.runs.starts[run]))} to ${formatSeconds(this.#time(until))}`;
    const value = row.runs.values[run];
    if (row.kind === "thread") return `${row.label}: ${ACTIVITIES[value]}, ${times}`;
    return `${row.label}: ${value < 0 ? "idle" : this.trace.name(value)}, ${times}`;
  }

  #time(index) {
    return this.trace.events[index][0];
  }

  // -- drawing -----------------------------------------------------------------------------------------------------

  draw() {
    if (!this.style || this.drawing) return;
    this.drawing = true;
    requestAnimationFrame(() => {
      this.drawing = false;
      this.#paint();
    });
  }

  #paint() {
    this.measure();
    const { canvas, context, width } = this;
    const height = Math.min(this.height, this.holder.clientHeight || this.height);
    const ratio = window.devicePixelRatio || 1;
    const scrolled = this.holder.scrollTop;
    const size = [Math.round(width * ratio), Math.round(height * ratio)];
    const key = [...size, ...this.view, scrolled, this.scale, this.colour("paper")].join();
    if (key !== this.painted) {
      this.painted = key;
      canvas.style.height = `${height}px`;
      for (const each of [canvas, this.picture]) [each.width, each.height] = size;
      this.context = this.picture.getContext("2d");
      this.context.setTransform(ratio, 0, 0, ratio, 0, 0);
      this.#paintRows(scrolled, width, height);
    }
    this.context = context;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, ...size);
    context.drawImage(this.picture, 0, 0);
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    this.#paintMark(height);
    canvas.dataset.painted = String(Number(canvas.dataset.painted || 0) + 1);
  }

  /** All but the mark: kept, since mostly only the mark moves. */
  #paintRows(scrolled, width, height) {
    const { context } = this;
    context.font = "12px system-ui, 'DejaVu Sans', sans-serif";
    context.textBaseline = "middle";
    this.range = this.#eventsInView();
    for (const row of this.rows) {
      const top = row.top - scrolled;
      if (top + row.height > 0 && top < height) this.#paintRow(row, top, width);
    }
    this.#paintAxis(width);
  }

  #eventsInView() {
    const places = this.places.subarray(0, this.trace.length);
    return [Math.max(lastAtMost(places, this.view[0]) - 1, 0), lastAtMost(places, this.view[1]) + 1];
  }

  #paintRow(row, top, width) {
    const { context } = this;
    context.fillStyle = this.colour("line");
    context.fillRect(0, top + row.height - 1, width, 1);
    context.save();
    context.beginPath();
    context.rect(this.left, top, width - this.left, row.height);
    context.clip();
    if (row.kind === "graph") this.#paintGraph(row, top);
    else this.#paintRuns(row, top);
    context.restore();
    context.fillStyle = this.colour(row.kind === "thread" ? "ink" : "soft");
    context.textAlign = "left";
    context.fillText(clip(context, row.label, this.left - 14), 8, top + row.height / 2);
  }

  /** Each run in view that is at least a pixel wide; of several in one pixel, the last. */
  #paintRuns(row, top) {
    const { starts, values } = row.runs;
    let run = Math.max(lastAtMost(starts, this.range[0]), 0);
    while (run < starts.length && starts[run] <= this.range[1]) {
      const from = this.x(this.places[starts[run]]);
      const until = this.x(this.places[run + 1 < starts.length ? starts[run + 1] : this.trace.length]);
      this.#paintRun(row.kind, values[run], from, Math.max(until - from, 1), top);
      run += 1;
      if (until - from < 1) run = this.#runAtX(starts, Math.floor(from) + 1, run);
    }
  }

  #runAtX(starts, x, run) {
    const index = lastAtMost(this.places.subarray(0, this.trace.length), this.placeAt(x));
    return Math.max(lastAtMost(starts, index), run);
  }

  #paintRun(kind, value, from, width, top) {
    const { context } = this;
    const name = kind === "thread" ? ACTIVITIES[value] : "running";
    if (value < 0 || name === "ended") return;
    const thin = name === "parked";
    context.fillStyle = this.fills[name];
    context.globalAlpha = kind === "thread" ? 1 : 0.5;
    context.fillRect(from, top + (thin ? 8 : 3), width, ROW_HEIGHT - (thin ? 17 : 7));
    context.globalAlpha = 1;
    const label = kind === "thread" ? name : this.trace.name(value);
    const start = Math.max(from, this.left);
    const room = from + width - start - 10;
    if (room < 12 || thin) return;
    const text = kind === "thread" ? label : clip(context, label, room);
    const wide = context.measureText(text).width;
    if (wide > room || (text.length < 4 && text !== label)) return;
    const isPlain = kind !== "thread" || name === "running";
    if (!isPlain) {
      context.fillStyle = this.colour("panel");
      context.fillRect(start + 3, top + 5, wide + 4, ROW_HEIGHT - 11);
    }
    context.fillStyle = kind === "thread" && isPlain ? "#ffffff" : this.colour("ink");
    context.textAlign = "left";
    context.fillText(text, start + 5, top + ROW_HEIGHT / 2);
  }

  #paintGraph(row, top) {
    const { context } = this;
    const { starts } = row.runs;
    const values = row.runs[row.what];
    const limited = row.what === "active" && row.limit !== null && row.limit < 1000;
    row.most ??= values.reduce((most, value) => Math.max(most, value), limited ? row.limit : 1);
    const y = (value) => top + GRAPH_HEIGHT - 3 - (value / row.most) * (GRAPH_HEIGHT - 12);
    let run = Math.max(lastAtMost(starts, this.range[0]), 0);
    while (run < starts.length && starts[run] <= this.range[1]) {
      const from = this.x(this.places[starts[run]]);
      let value = values[run];
      run += 1;
      while (run < starts.length && this.x(this.places[starts[run]]) < Math.floor(from) + 1) {
        value = Math.max(value, values[run]);
        run += 1;
      }
      const until = Math.round(this.x(this.places[run < starts.length ? starts[run] : this.trace.length]));
      const left = Math.round(from);
      const within = limited ? Math.min(value, row.limit) : value;
      context.fillStyle = this.colour(row.colour);
      context.fillRect(left, y(within), Math.max(until - left, 1), y(0) - y(within));
      if (value > within) {
        context.fillStyle = this.colour("over");
        context.fillRect(left, y(value), Math.max(until - left, 1), y(within) - y(value));
      }
    }
    this.#paintScale(row, top, y, limited);
  }

  #paintScale(row, top, y, limited) {
    const { context } = this;
    context.textAlign = "right";
    context.fillStyle = this.colour("soft");
    const right = this.width - 8;
    if (limited) {
      context.strokeStyle = this.colour("ink");
      context.setLineDash([5, 4]);
      context.beginPath();
      context.moveTo(this.left, y(row.limit));
      context.lineTo(right, y(row.limit));
      context.stroke();
      context.setLineDash([]);
    }
    const text = limited ? `limit ${row.limit}` : `most ${row.most}`;
    const wide = context.measureText(text).width + 6;
    context.fillStyle = this.colour("panel");
    context.globalAlpha = 0.8;
    context.fillRect(right - wide, top + 2, wide, 14);
    context.globalAlpha = 1;
    context.fillStyle = this.colour("ink");
    context.fillText(text, right - 2, top + 9);
  }

  #paintMark(height) {
    const { context } = this;
    const x = this.x(this.placeOf(this.at));
    if (x < this.left - 1) return;
    if (this.marked >= 0) {
      const from = this.x(this.places[this.marked]);
      context.fillStyle = this.colour("mark");
      context.globalAlpha = 0.13;
      context.fillRect(from, HEAD_HEIGHT, Math.max(x - from, 1), height - HEAD_HEIGHT);
      context.globalAlpha = 1;
    }
    context.fillStyle = this.colour("mark");
    context.fillRect(x - 1, 14, 2, height - 14);
    context.beginPath();
    context.moveTo(x - 6, 12);
    context.lineTo(x + 6, 12);
    context.lineTo(x, 21);
    context.fill();
  }

  #paintAxis(width) {
    const { context } = this;
    const [from, to] = this.view;
    const most = Math.max(Math.floor((width - this.left) / 90), 1);
    const rough = (to - from) / most;
    const power = 10 ** Math.floor(Math.log10(rough));
    let tick = [1, 2, 5, 10].map((each) => each * power).find((each) => each >= rough);
    if (this.scale === "steps") tick = Math.max(Math.round(tick), 1);
    context.fillStyle = this.colour("panel");
    context.fillRect(0, 0, width, 13);
    context.fillStyle = this.colour("soft");
    context.textAlign = "left";
    context.fillText(this.scale === "steps" ? "event" : "time", 8, 8);
    for (let place = Math.ceil(from / tick) * tick; place <= to; place += tick) {
      const x = this.x(place);
      context.fillRect(x, 2, 1, 10);
      context.fillText(this.scale === "steps" ? String(Math.round(place)) : formatSeconds(place), x + 4, 8);
    }
  }
}

function push(runs, start, value) {
  runs.starts.push(start);
  runs.values.push(value);
}

/** As much of the text as fits. */
function clip(context, text, width) {
  if (context.measureText(text).width <= width) return text;
  let kept = text.slice(0, 40);
  while (kept.length > 1 && context.measureText(`${kept}\u2026`).width > width) kept = kept.slice(0, -1);
  return `${kept}\u2026`;
}
