/* The trace and its states: what is so after any number of events.
 *
 * The page is given the events as short arrays, the reasons with their texts, and for each kind of step its effect; what
 * happens to which list is decided in Python alone.  Going back means going forward from a copy: some are kept on the
 * way, the fewer the larger they are.
 */
"use strict";

const ACTIVITIES = ["running", "ready", "parked", "blocked", "suspended", "ended"];
const COPY_EVERY = 1000;
const MOST_PACKETS_IN_TEXT = 12;

/** One event, read from its array: a step of a port has a reason, a change of a thread an activity. */
class TraceEvent {
  constructor(trace, index) {
    const raw = trace.events[index];
    this.number = index + 1;
    this.time = raw[0];
    this.isStep = raw.length > 4;
    if (this.isStep) {
      [, this.reasonNumber, this.port, this.thread, this.by, this.packets, this.active, this.depth, this.waiting,
        this.cause] = raw;
      this.reason = trace.reasons[this.reasonNumber];
    } else {
      [, this.thread, this.activity, this.processor] = raw;
    }
  }
}

/** Everything at one moment, after `number` events. */
class TraceState {
  constructor(number, time, ports, threads) {
    this.number = number;
    this.time = time;
    this.ports = ports;
    this.threads = threads;
  }

  static initial(trace) {
    const ports = new Map(trace.ports.map(([port]) => [port, newPort()]));
    return new TraceState(0, 0, ports, new Map());
  }

  copy() {
    const ports = new Map();
    for (const [number, port] of this.ports) {
      ports.set(number, newPort(port.packets, port.waiters, port.counted));
    }
    return new TraceState(this.number, this.time, ports, new Map(this.threads));
  }

  get size() {
    let size = this.threads.size;
    for (const port of this.ports.values()) size += port.packets.size + port.waiters.size;
    return size;
  }

  /** Let the event happen. */
  apply(event) {
    this.number = event.number;
    this.time = event.time;
    const old = this.threads.get(event.thread) ?? { activity: 0, processor: -1, port: 0, held: [] };
    if (!event.isStep) {
      this.threads.set(event.thread, { ...old, activity: event.activity, processor: event.processor });
      return;
    }
    const port = this.ports.get(event.port);
    const effect = event.reason.effect;
    moveAll(port, "packets", event.packets, effect.packets);
    if (event.thread >= 0) {
      moveAll(port, "waiters", [event.thread], effect.waiters);
      moveAll(port, "counted", [event.thread], effect.counted);
      const home = effect.members === "out" ? 0 : event.port;
      const held = effect.held === "stay" ? old.held : event.packets;
      this.threads.set(event.thread, { ...old, port: home, held });
    }
    if (event.reason.ends) {
      port.waiters.clear();
      port.counted.clear();
      for (const [thread, status] of this.threads) {
        if (status.port === event.port) this.threads.set(thread, { ...status, port: 0 });
      }
    }
  }
}

/** The lists of one port, each in its order: packets oldest first, waiters with the top last. */
function newPort(packets = [], waiters = [], counted = []) {
  return { packets: new Set(packets), waiters: new Set(waiters), counted: new Set(counted) };
}

/** Move items in or out of one list of a port. */
function moveAll(port, list, items, move) {
  if (move === "in") items.forEach((item) => port[list].add(item));
  else if (move === "out") items.forEach((item) => port[list].delete(item));
  else if (move === "front") port[list] = new Set([...items, ...port[list]]);
}

/** The recording. */
class Trace {
  constructor(data) {
    Object.assign(this, data);
    this.length = this.events.length;
    this.limits = new Map(this.ports);
    this.copies = [TraceState.initial(this)];
    this.state = TraceState.initial(this);
    this.stops = { steps: this.#stepStops(), events: this.#eventStops() };
  }

  event(index) {
    return new TraceEvent(this, index);
  }

  name(number) {
    return number < 0 ? "the system" : this.names[number];
  }

  /** The state after `number` events. */
  seek(number) {
    const nearest = this.copies[lastAtMost(this.copies.map((copy) => copy.number), number)];
    if (this.state.number > number || this.state.number < nearest.number) this.state = nearest.copy();
    while (this.state.number < number) {
      this.state.apply(this.event(this.state.number));
      const distance = Math.max(COPY_EVERY, 4 * this.state.size);
      if (this.state.number >= this.copies[this.copies.length - 1].number + distance) {
        this.copies.push(this.state.copy());
      }
    }
    return this.state;
  }

  /** Where to stop for each step of a port: which event it is, and how many have happened when its effects are there. */
  #stepStops() {
    const stops = [{ event: -1, until: 0 }];
    for (let index = 0; index < this.length; index += 1) {
      const [time] = this.events[index];
      if (this.events[index].length > 4) {
        stops.push({ event: index, until: index + 1 });
      } else {
        const last = stops[stops.length - 1];
        if (last.event >= 0 && last.until === index && this.events[last.event][0] === time) last.until = index + 1;
      }
    }
    const last = stops[stops.length - 1];
    if (last.until < this.length) stops.push({ event: this.length - 1, until: this.length });
    return stops;
  }

  #eventStops() {
    const stops = [{ event: -1, until: 0 }];
    for (let index = 0; index < this.length; index += 1) stops.push({ event: index, until: index + 1 });
    return stops;
  }

  /** One of the texts of an event, filled in. */
  text(event, which) {
    if (!event.isStep) {
      const template = event.processor >= 0 ? this.onProcessor : this.activitySentences[event.activity];
      return fill(template, { thread: this.name(event.thread), processor: event.processor });
    }
    const limit = this.limits.get(event.port);
    return fill(event.reason[which], {
      port: event.port,
      thread: this.name(event.thread),
      by: this.name(event.by),
      packets: this.packetsText(event.packets),
      short: this.packetsBrief(event.packets),
      active: event.active,
      limit: limit === null ? "any number" : limit,
      depth: event.depth,
      waiting: event.waiting,
      cause: event.cause,
    });
  }

  packetsText(numbers) {
    if (numbers.length === 1) return `packet ${numbers[0]} (key ${this.packets[numbers[0] - 1][0]})`;
    if (numbers.length > MOST_PACKETS_IN_TEXT) return `${numbers.length} packets, from ${numbers[0]} on,`;
    return numbers.length ? `packets ${numbers.join(", ")}` : "no packet";
  }

  packetsBrief(numbers) {
    if (numbers.length === 1) {
      const full = this.packets[numbers[0] - 1][0];
      const key = full.length <= this.briefKey ? full : `${full.slice(0, this.briefKey - 2)}..`;
      return /^['"<]/.test(key) ? `#${numbers[0]} ${key}` : `#${numbers[0]} key ${key}`;
    }
    if (numbers.length > this.briefPackets) return `#${numbers[0]} and ${numbers.length - 1} more`;
    return numbers.map((number) => `#${number}`).join(" ") || "none";
  }
}

function fill(template, values) {
  return template.replace(/\{(\w+)\}/g, (_, name) => String(values[name]));
}

/** A time for readers. */
function formatSeconds(seconds) {
  for (const [unit, factor] of [["s", 1], ["ms", 1e3], ["\u00b5s", 1e6], ["ns", 1e9]]) {
    const value = seconds * factor;
    if (value >= 0.9995) return `${Number(value.toPrecision(unit === "s" ? 6 : 4))}${unit}`;
  }
  return "0s";
}

/** The last place in the sorted `values` that is not above `value`; -1 when all are. */
function lastAtMost(values, value) {
  let low = 0;
  let high = values.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (values[middle] <= value) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}
