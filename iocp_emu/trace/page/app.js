/* The controls: where we are in the trace, what the text says, and what the boxes show.
 *
 * Texts come from programs and files: they are only ever set as text, never as markup.
 */
"use strict";

const MOST_BOXES = 24;
const MOST_THREADS = 200;

class App {
  constructor(trace) {
    this.trace = trace;
    this.mode = "steps";
    this.position = 0;
    this.timer = null;
    this.chart = new Chart(trace, byId("chart"), byId("spacer"), byId("canvas"));
    this.chart.setPosition(0, -1);
    this.#makeLegend();
    this.#listen();
    this.go(0);
  }

  get stops() {
    return this.trace.stops[this.mode];
  }

  // -- moving ------------------------------------------------------------------------------------------------------

  /** Go to a stop by its place in the list of stops. */
  go(position) {
    this.position = Math.max(0, Math.min(position, this.stops.length - 1));
    const stop = this.stops[this.position];
    const state = this.trace.seek(stop.until);
    this.chart.setPosition(stop.until, stop.event);
    this.#say(stop, state);
    this.#showPorts(state);
    this.#showThreads(state, stop);
  }

  /** Go to the stop that is there after `number` events. */
  seek(number) {
    let low = 0;
    let high = this.stops.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.stops[middle].event < number) low = middle;
      else high = middle - 1;
    }
    this.go(low);
  }

  play() {
    if (this.timer === null && this.position === this.stops.length - 1) this.go(0);
    if (this.timer !== null) {
      clearInterval(this.timer);
      this.timer = null;
    } else {
      const speed = Number(byId("speed").value);
      const stride = Math.max(Math.round(speed / 20), 1);
      this.timer = setInterval(() => {
        this.go(this.position + stride);
        if (this.position === this.stops.length - 1) this.play();
      }, Math.max(1000 / speed, 50));
    }
    byId("play").textContent = this.timer === null ? "\u25B6\uFE0E Play" : "\u275A\u275A Pause";
    byId("play").setAttribute("aria-pressed", String(this.timer !== null));
    byId("said").setAttribute("aria-live", this.timer === null ? "polite" : "off");
  }

  pause() {
    if (this.timer !== null) this.play();
  }

  setMode(mode) {
    const { until } = this.stops[this.position];
    this.mode = mode;
    this.seek(until);
  }

  // -- saying ------------------------------------------------------------------------------------------------------

  #say(stop, state) {
    const last = this.stops.length - 1;
    const seek = byId("seek");
    seek.max = String(last);
    seek.value = String(this.position);
    byId("first").disabled = byId("back").disabled = this.position === 0;
    byId("last").disabled = byId("next").disabled = this.position === last;
    byId("rules").replaceChildren();
    if (stop.event < 0) {
      byId("number").textContent = `Before the first of ${last.toLocaleString("en")} steps`;
      byId("time").textContent = "";
      byId("brief").textContent = last ? "Nothing has happened yet." : "Nothing was recorded.";
      byId("sentence").textContent = last ? "Step on with the right arrow, or play with the space bar." : "";
      seek.setAttribute("aria-valuetext", "before the first step");
      return;
    }
    const event = this.trace.event(stop.event);
    const brief = this.trace.text(event, "brief");
    const sentence = this.trace.text(event, "sentence");
    byId("number").textContent =
      `Event ${event.number}, step ${this.position.toLocaleString("en")} of ${last.toLocaleString("en")},`;
    byId("time").textContent = `at ${formatSeconds(event.time)}`;
    byId("brief").textContent = brief;
    byId("sentence").textContent = sentence === brief ? "" : sentence;
    seek.setAttribute("aria-valuetext", `step ${this.position}: ${brief}`);
    if (event.isStep) this.#showRules(event);
    byId("canvas").setAttribute("aria-label", `Timeline, ${state.number} of ${this.trace.length} events have happened`);
  }

  #showRules(event) {
    for (const rule of event.reason.rules) {
      const item = element("li", "");
      item.append(element("b", rule), ` ${this.trace.ruleTexts[rule]}`);
      byId("rules").append(item);
    }
    if (event.cause) {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = `caused by event ${event.cause}`;
      button.addEventListener("click", () => this.seek(event.cause));
      const item = element("li", "");
      item.append(button);
      byId("rules").append(item);
    }
  }

  // -- boxes -------------------------------------------------------------------------------------------------------

  #showPorts(state) {
    const holder = byId("ports");
    holder.replaceChildren();
    for (const [number, limit] of this.trace.ports) {
      const port = state.ports.get(number);
      const section = document.createElement("section");
      section.className = "port";
      section.append(element("h2", `Port ${number}, ${limit === null ? "without a limit" : `limit ${limit}`}`));
      section.append(this.#packets(port), this.#waiters(port), this.#slots(port, limit));
      holder.append(section);
    }
  }

  #packets(port) {
    const label = ([, bytes, error, origin], number) => {
      const parts = [this.trace.packetsBrief([number])];
      if (bytes) parts.push(`${bytes} bytes`);
      if (error) parts.push(`error ${error}`);
      if (origin !== "posted") parts.push(origin);
      return parts.join(", ");
    };
    const packets = firstOf(port.packets, MOST_BOXES);
    const boxes = packets.map((number) => box("packet", label(this.trace.packets[number - 1], number)));
    if (boxes.length) boxes[0].classList.add("next");
    return list(`Queue, oldest first: ${port.packets.size}`, "queue", boxes, port.packets.size, "empty");
  }

  #waiters(port) {
    const waiters = [...port.waiters].reverse().slice(0, MOST_BOXES);
    const boxes = waiters.map((thread) => box("waiter", this.trace.name(thread)));
    if (boxes.length) boxes[0].classList.add("next");
    return list(`Parked, top first: ${port.waiters.size}`, "stack", boxes, port.waiters.size, "nobody");
  }

  #slots(port, limit) {
    const counted = firstOf(port.counted, MOST_BOXES);
    const boxes = counted.map((thread, place) => {
      const over = limit !== null && place >= limit;
      return box(over ? "slot over" : "slot", `${this.trace.name(thread)}${over ? " (above the limit)" : ""}`);
    });
    const free = limit === null ? 0 : Math.min(limit, MOST_BOXES) - boxes.length;
    for (let place = 0; place < free; place += 1) boxes.push(box("free", "free slot"));
    const of = limit === null ? "" : ` of ${limit}`;
    const most = Math.max(port.counted.size, Math.min(limit ?? 0, MOST_BOXES));
    return list(`Counted: ${port.counted.size}${of}`, "slots", boxes, most, "nobody");
  }

  #showThreads(state, stop) {
    const holder = byId("threads");
    const turn = stop.event < 0 ? -1 : this.trace.event(stop.event).thread;
    const boxes = [];
    for (const [thread, status] of state.threads) {
      if (boxes.length === MOST_THREADS && thread !== turn) continue;
      const activity = ACTIVITIES[status.activity];
      const item = element("li", `${this.trace.name(thread)} `);
      item.className = thread === turn ? `${activity} turn` : activity;
      const words = [status.processor >= 0 ? `${activity} on processor ${status.processor}` : activity];
      if (status.port && this.trace.ports.length > 1) words.push(`of port ${status.port}`);
      if (status.held.length && activity !== "ended") words.push(`has ${this.trace.packetsBrief(status.held)}`);
      item.append(element("small", words.join(", ")));
      boxes.push(item);
    }
    if (state.threads.size > MOST_THREADS) {
      boxes.push(element("li", `and ${(state.threads.size - MOST_THREADS).toLocaleString("en")} more`));
    }
    holder.replaceChildren(...boxes);
  }

  #makeLegend() {
    const context = byId("canvas").getContext("2d");
    const used = new Set(this.trace.events.filter((raw) => raw.length === 4).map((raw) => raw[2]));
    const items = ACTIVITIES.filter((name, index) => name !== "ended" && used.has(index)).map((name) => {
      const sample = document.createElement("canvas");
      sample.width = 26;
      sample.height = 14;
      const inner = sample.getContext("2d");
      inner.fillStyle = makeFills(context, this.chart.style)[name];
      inner.fillRect(0, name === "parked" ? 5 : 0, 26, name === "parked" ? 5 : 14);
      const item = element("li", "");
      item.append(sample, name);
      return item;
    });
    byId("legend").replaceChildren(...items);
  }

  // -- listening ---------------------------------------------------------------------------------------------------

  #listen() {
    const move = { first: () => 0, back: () => this.position - 1, next: () => this.position + 1, last: () => Infinity };
    for (const [id, target] of Object.entries(move)) {
      byId(id).addEventListener("click", () => {
        this.pause();
        this.go(target());
      });
    }
    byId("play").addEventListener("click", () => this.play());
    byId("speed").addEventListener("change", () => {
      if (this.timer !== null) {
        this.play();
        this.play();
      }
    });
    byId("stops").addEventListener("change", (change) => this.setMode(change.target.value));
    byId("scale").addEventListener("change", (change) => {
      this.chart.setScale(change.target.value);
      this.go(this.position);
    });
    byId("in").addEventListener("click", () => this.#zoom(0.5));
    byId("out").addEventListener("click", () => this.#zoom(2));
    byId("fit").addEventListener("click", () => this.chart.fit());
    byId("seek").addEventListener("input", (input) => {
      this.pause();
      this.go(Number(input.target.value));
    });
    document.addEventListener("keydown", (key) => this.#onKey(key));
    this.#listenToPointer();
    new ResizeObserver(() => this.chart.draw()).observe(byId("chart"));
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
      this.chart.recolour();
      this.#makeLegend();
    });
  }

  #zoom(factor) {
    this.chart.zoom(factor, this.chart.placeOf(this.stops[this.position].until));
  }

  #listenToPointer() {
    const canvas = byId("canvas");
    const seek = (pointer) => this.seek(this.chart.numberAt(pointer.offsetX));
    let isDown = false;
    canvas.addEventListener("pointerdown", (pointer) => {
      this.pause();
      isDown = true;
      canvas.setPointerCapture(pointer.pointerId);
      seek(pointer);
    });
    canvas.addEventListener("pointermove", (pointer) => {
      if (isDown) seek(pointer);
      byId("under").textContent = this.chart.describe(pointer.offsetX, pointer.offsetY + byId("chart").scrollTop);
    });
    for (const name of ["pointerup", "pointercancel"]) {
      canvas.addEventListener(name, () => {
        isDown = false;
      });
    }
    canvas.addEventListener("pointerleave", () => {
      byId("under").textContent = "";
    });
    canvas.addEventListener("wheel", (wheel) => {
      if (wheel.ctrlKey || wheel.metaKey) {
        this.chart.zoom(wheel.deltaY > 0 ? 1.25 : 0.8, this.chart.placeAt(wheel.offsetX));
      } else if (Math.abs(wheel.deltaX) > Math.abs(wheel.deltaY)) {
        this.chart.pan(wheel.deltaX / canvas.clientWidth);
      } else {
        return;
      }
      wheel.preventDefault();
    }, { passive: false });
    byId("chart").addEventListener("scroll", () => this.chart.draw());
  }

  #onKey(key) {
    const within = key.target instanceof HTMLSelectElement || (key.target === byId("seek") && key.key !== " ");
    const onButton = key.target instanceof HTMLElement && key.target.closest("button, summary");
    if (key.ctrlKey || key.metaKey || key.altKey || within || (onButton && key.key === " ")) return;
    const stride = key.shiftKey ? 10 : 1;
    const moves = {
      ArrowRight: () => this.position + stride,
      ArrowLeft: () => this.position - stride,
      Home: () => 0,
      End: () => Infinity,
    };
    const views = {
      " ": () => this.play(),
      "+": () => this.#zoom(0.5),
      "=": () => this.#zoom(0.5),
      "-": () => this.#zoom(2),
      0: () => this.chart.fit(),
      a: () => this.chart.pan(-0.25),
      d: () => this.chart.pan(0.25),
    };
    if (Object.hasOwn(moves, key.key)) {
      this.pause();
      this.go(moves[key.key]());
    } else if (Object.hasOwn(views, key.key)) {
      views[key.key]();
    } else {
      return;
    }
    key.preventDefault();
  }
}

function byId(id) {
  return document.getElementById(id);
}

function element(tag, text) {
  const made = document.createElement(tag);
  made.textContent = text;
  return made;
}

function box(kind, text) {
  const item = element("li", text);
  item.className = kind;
  return item;
}

/** A titled list of boxes; `count` is how many there are in truth. */
function list(title, kind, boxes, count, empty) {
  const holder = document.createElement("div");
  const items = document.createElement("ol");
  items.className = kind;
  items.append(...boxes);
  if (count > boxes.length) items.append(box("more", `and ${(count - boxes.length).toLocaleString("en")} more`));
  if (!boxes.length) items.append(box("none", empty));
  holder.append(element("h3", title), items);
  return holder;
}

function firstOf(items, most) {
  const found = [];
  for (const item of items) {
    if (found.length === most) break;
    found.push(item);
  }
  return found;
}

window.app = new App(new Trace(JSON.parse(byId("data").textContent)));
