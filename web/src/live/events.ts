// Server-sent events, as they are written in an answer.

export interface ServerEvent {
  readonly kind: string;
  readonly data: string;
  /** The positions of all topics after this event; null if it has none. */
  readonly id: string | null;
}

/** Reads the events of an answer, in whatever parts it arrives. */
export class EventReader {
  #rest = "";
  #kind = "";
  #data: string[] = [];
  #id: string | null = null;

  /** The events that are complete with this part. */
  read(part: string): ServerEvent[] {
    const lines = (this.#rest + part).split("\n");
    this.#rest = lines.pop() ?? "";
    const events: ServerEvent[] = [];
    for (const line of lines) {
      const text = line.endsWith("\r") ? line.slice(0, -1) : line;
      if (text) this.#note(text);
      else this.#end(events);
    }
    return events;
  }

  #note(text: string): void {
    const colon = text.indexOf(":");
    const name = colon < 0 ? text : text.slice(0, colon);
    const value = colon < 0 ? "" : text.slice(colon + (text[colon + 1] === " " ? 2 : 1));
    if (name === "event") this.#kind = value;
    else if (name === "data") this.#data.push(value);
    else if (name === "id") this.#id = value;
  }

  #end(events: ServerEvent[]): void {
    if (this.#data.length) {
      events.push({ kind: this.#kind || "message", data: this.#data.join("\n"), id: this.#id });
    }
    this.#kind = "";
    this.#data = [];
    this.#id = null;
  }
}
