// The text of a log in an editor that nobody can write in. It draws only what is seen, and yet selecting,
// copying and the keys work on all of its text. It is in a shadow root, where styles need no <style> element.
import { Compartment, EditorSelection, EditorState, StateEffect, StateField } from "@codemirror/state";
import {
  Decoration,
  type DecorationSet,
  EditorView,
  GutterMarker,
  gutter,
  keymap,
  type PluginValue,
  ViewPlugin,
  type ViewUpdate,
  WidgetType,
} from "@codemirror/view";
import { count } from "../ui/format";
import type { Style } from "./ansi";
import { appearance } from "./appearance";
import type { Edit, LogWindow } from "./LogWindow";
import type { LogLine, Row } from "./lines";
import { THEME } from "./theme";

/** What stands where a part of the log is not loaded, or where it ended. */
export interface Edges {
  /** Above the text: what is not loaded. */
  readonly above: EdgeText | null;
  readonly below: EdgeText | null;
  /** The last line: how the attempt ended. */
  readonly end: { readonly text: string; readonly isBad: boolean } | null;
}

export interface EdgeText {
  readonly text: string;
  /** Another button: to the first or the last line. */
  readonly far: string;
}

export interface EditorEvents {
  /** The rows near the top or the bottom are seen; `isAtEnd` if nothing is below. */
  onScroll(seen: { isNearTop: boolean; isNearEnd: boolean; isAtEnd: boolean; isUpwards: boolean }): void;
  onSelect(): void;
  /** A button at an edge, or the key Home or End. */
  onEdge(which: "above" | "below" | "first" | "last"): void;
  /** A key that the viewer has; false if it does nothing. */
  onKey(key: string): boolean;
  onShow(line: LogLine, changed: { isOpened?: boolean; isWhole?: boolean }): void;
}

/** A match: the number of its line, and which one in it, from 0. */
export interface CurrentMatch {
  readonly line: number;
  readonly nth: number;
}

const NEAR = 400; // pixels
const MOST_MARKS = 2_000; // styled parts of what is seen at once: their elements are in the document
const NO_EDGES: Edges = { above: null, below: null, end: null };

const setEdges = StateEffect.define<Edges>();
const redraw = StateEffect.define<null>();

export class LogEditor {
  readonly view: EditorView;
  isFollowing = false;
  #window: LogWindow;
  #errorOffset: number | null = null;
  #found = "";
  #hasCase = false;
  #current: CurrentMatch | null = null;
  readonly #wrap = new Compartment();
  readonly #events: EditorEvents;
  #top = 0;
  #marks = new Map<Style, Decoration>();

  constructor(host: HTMLElement, window: LogWindow, label: string, events: EditorEvents) {
    this.#window = window;
    this.#events = events;
    const root = host.shadowRoot ?? host.attachShadow({ mode: "open" });
    root.replaceChildren();
    this.view = new EditorView({
      root,
      parent: root,
      state: EditorState.create({
        extensions: [
          EditorState.readOnly.of(true),
          EditorState.tabSize.of(8),
          EditorView.contentAttributes.of({
            "aria-label": label,
            "aria-readonly": "true",
            inputmode: "none",
            translate: "no",
          }),
          THEME,
          this.#wrap.of([]),
          this.#numbers(),
          this.#edges(),
          this.#styles(),
          keymap.of(this.#keys()),
          EditorView.scrollHandler.of(() => {
            keepAround(host);
            return false;
          }),
          EditorView.updateListener.of((update) => this.#updated(update)),
        ],
      }),
    });
    this.view.scrollDOM.addEventListener("scroll", () => this.#scrolled(), { passive: true });
  }

  destroy(): void {
    this.view.destroy();
  }

  /** Shows another part of the log. */
  reset(window: LogWindow): void {
    this.#window = window;
    const text = window.rows.map((row) => row.text).join("\n");
    this.view.dispatch({
      changes: { from: 0, to: this.view.state.doc.length, insert: text },
      selection: EditorSelection.cursor(0),
    });
  }

  /** Does in the text what was done to the rows; what is seen stays where it is. */
  apply(edit: Edit | null): void {
    if (!edit) return;
    const { doc } = this.view.state;
    const { at, removed, rows } = edit;
    const text = rows.map((row) => row.text).join("\n");
    const before = this.#window.rows.length - rows.length + removed; // rows there were
    let from = doc.length;
    let to = doc.length;
    let insert = text;
    if (at < before) {
      from = doc.line(at + 1).from;
      if (at + removed < before) {
        to = doc.line(at + removed + 1).from;
        if (rows.length) insert += "\n";
      } else if (!rows.length && at > 0) from -= 1;
    } else if (at > 0 && rows.length) insert = `\n${text}`;
    const kept = at === 0 && at + removed < before && !this.isFollowing ? this.#place(to) : null;
    this.view.dispatch({ changes: { from, to, insert } });
    if (kept) {
      const position = kept.position - to + from + insert.length;
      this.view.dispatch({
        effects: EditorView.scrollIntoView(Math.max(0, position), { y: "start", yMargin: kept.margin }),
      });
    }
    if (this.isFollowing) this.toEnd();
  }

  /** The first line that is seen and remains, and how far below the top it is. */
  #place(least: number): { position: number; margin: number } {
    const { scrollTop } = this.view.scrollDOM;
    const block = this.view.lineBlockAtHeight(scrollTop);
    const position = Math.max(block.from, least);
    return { position, margin: this.view.lineBlockAt(position).top - scrollTop };
  }

  edges(edges: Edges): void {
    this.view.dispatch({ effects: setEdges.of(edges) });
    if (this.isFollowing) this.toEnd();
  }

  /** Draws numbers and marks again. */
  redraw(): void {
    this.view.dispatch({ effects: redraw.of(null) });
  }

  wrap(isOn: boolean): void {
    this.view.dispatch({ effects: this.#wrap.reconfigure(isOn ? EditorView.lineWrapping : []) });
    if (this.isFollowing) this.toEnd();
  }

  /** The line of the error, which has a ground of its own. */
  error(offset: number | null): void {
    this.#errorOffset = offset;
    this.redraw();
  }

  /** What is found, and which is the current match. */
  found(text: string, { hasCase, current }: { hasCase: boolean; current: CurrentMatch | null }): void {
    this.#found = hasCase ? text : text.toLowerCase();
    this.#hasCase = hasCase;
    this.#current = current;
    this.redraw();
  }

  toEnd(): void {
    this.view.requestMeasure({
      key: this,
      read: () => null,
      write: () => {
        this.view.scrollDOM.scrollTop = this.view.scrollDOM.scrollHeight;
      },
    });
  }

  /** Scrolls to a row, and puts the cursor there, or at a column of it. */
  toRow(
    row: number,
    y: "end" | "center" | "start" | "nearest" = "center",
    { yMargin = 0, column = 0 }: { yMargin?: number; column?: number } = {},
  ): void {
    const line = this.view.state.doc.line(Math.min(row + 1, this.view.state.doc.lines));
    const selection = EditorSelection.cursor(Math.min(line.to, line.from + column));
    this.view.dispatch({ selection, effects: EditorView.scrollIntoView(selection, { y, yMargin }) });
  }

  /** The row at the top of what is seen. */
  topRow(): number {
    const block = this.view.lineBlockAtHeight(this.view.scrollDOM.scrollTop + 2);
    return this.view.state.doc.lineAt(block.from).number - 1;
  }

  get text(): string {
    return this.view.state.doc.toString();
  }

  /** Selects all and has the browser copy it, where the page may not write to the clipboard. */
  copyBySelection(): boolean {
    const { state } = this.view;
    this.view.focus();
    this.view.dispatch({ selection: EditorSelection.range(0, state.doc.length) });
    return document.execCommand("copy");
  }

  #updated(update: ViewUpdate): void {
    if (update.selectionSet && !update.state.selection.main.empty) {
      this.isFollowing = false;
      this.#events.onSelect();
    }
    if (this.isFollowing && (update.geometryChanged || update.heightChanged)) this.toEnd();
  }

  #scrolled(): void {
    const { scrollTop, scrollHeight, clientHeight } = this.view.scrollDOM;
    const rest = scrollHeight - scrollTop - clientHeight;
    const isUpwards = scrollTop < this.#top - 1;
    this.#top = scrollTop;
    this.#events.onScroll({
      isNearTop: scrollTop < NEAR,
      isNearEnd: rest < NEAR,
      isAtEnd: rest < 4,
      isUpwards,
    });
  }

  #row(lineNumber: number): Row | undefined {
    return this.#window.rows[lineNumber - 1];
  }

  #numbers() {
    const numberAt = (row: Row | undefined) => {
      const number = row?.isFirst ? this.#window.numberOf(row.line) : null;
      return number === null ? "" : String(number);
    };
    const widest = () => {
      const last = this.#window.last;
      const number = last ? this.#window.numberOf(last) : null;
      return new LineNumber("0".repeat(Math.max(3, String(number ?? 0).length)));
    };
    return gutter({
      class: "log-numbers",
      lineMarker: (view, line) => {
        const row = this.#row(view.state.doc.lineAt(line.from).number);
        const marker = new LineNumber(numberAt(row));
        if (row && row.line.offset === this.#errorOffset) marker.elementClass = "log-error-number";
        return marker;
      },
      lineMarkerChange: (update) => update.docChanged || isRedrawn(update),
      initialSpacer: widest,
      updateSpacer: (spacer) => {
        const next = widest();
        return next.eq(spacer as LineNumber) ? spacer : next;
      },
    });
  }

  #edges() {
    const made = (edges: Edges, length: number): DecorationSet => {
      const { above, below, end } = edges;
      const marks = [];
      if (above) {
        const widget = new EdgeWidget("above", above, this.#events);
        marks.push(Decoration.widget({ widget, block: true, side: -1 }).range(0));
      }
      if (below) {
        const widget = new EdgeWidget("below", below, this.#events);
        marks.push(Decoration.widget({ widget, block: true, side: 1 }).range(length));
      }
      if (end) {
        const widget = new EndWidget(end.text, end.isBad);
        marks.push(Decoration.widget({ widget, block: true, side: 2 }).range(length));
      }
      return Decoration.set(marks);
    };
    return StateField.define<{ edges: Edges; marks: DecorationSet }>({
      create: () => ({ edges: NO_EDGES, marks: Decoration.none }),
      update: (value, transaction) => {
        let { edges } = value;
        for (const effect of transaction.effects) if (effect.is(setEdges)) edges = effect.value;
        if (edges === value.edges && !transaction.docChanged) return value;
        return { edges, marks: made(edges, transaction.state.doc.length) };
      },
      provide: (field) => EditorView.decorations.from(field, (value) => value.marks),
    });
  }

  #styles() {
    const draw = (view: EditorView) => this.#draw(view);
    return ViewPlugin.fromClass(
      class implements PluginValue {
        marks: DecorationSet;
        constructor(view: EditorView) {
          this.marks = draw(view);
        }
        update(update: ViewUpdate) {
          if (update.docChanged || update.viewportChanged || isRedrawn(update))
            this.marks = draw(update.view);
        }
      },
      { decorations: (plugin) => plugin.marks },
    );
  }

  /** The marks of what is seen: styles, matches, the error, and the buttons that show more of a line. */
  #draw(view: EditorView): DecorationSet {
    const marks = [];
    let left = MOST_MARKS;
    let before = 0; // the number of the last line: a very long one is seen in several parts
    const { doc } = view.state;
    for (const { from, to } of view.visibleRanges) {
      for (let line = doc.lineAt(from); ; line = doc.line(line.number + 1)) {
        const row = this.#row(line.number);
        if (row) {
          const isNew = line.number !== before;
          before = line.number;
          if (isNew && row.line.offset === this.#errorOffset) marks.push(ERROR_LINE.range(line.from));
          for (const span of row.shown.spans) {
            const begin = Math.max(from, line.from + span.from);
            const end = Math.min(to, line.from + Math.min(span.to, row.text.length));
            if (begin >= end || left <= 0) continue;
            left -= 1;
            marks.push(this.#mark(span.style).range(begin, end));
          }
          if (this.#found) {
            const text = this.#hasCase ? row.text : row.text.toLowerCase();
            const isCurrent = this.#current?.line === this.#window.numberOf(row.line);
            let nth = -1;
            for (
              let at = text.indexOf(this.#found);
              at >= 0 && left > 0;
              at = text.indexOf(this.#found, at + this.#found.length)
            ) {
              nth += 1;
              const [begin, end] = [line.from + at, line.from + at + this.#found.length];
              if (end > line.to) break;
              if (end <= from || begin >= to) continue;
              left -= 1;
              marks.push((isCurrent && this.#current?.nth === nth ? CURRENT : FOUND).range(begin, end));
            }
          }
          const buttons = isNew ? this.#buttons(row) : null;
          if (buttons) marks.push(Decoration.widget({ widget: buttons, side: 1 }).range(line.to));
        }
        if (line.to >= to || line.number >= doc.lines) break;
      }
    }
    return Decoration.set(marks, true);
  }

  #buttons(row: Row): WidgetType | null {
    const { line } = row;
    const texts: [string, () => void][] = [];
    if (row.cut) {
      const text = `… ${count(Math.max(1, Math.round(row.cut / 1000)))} kB more`;
      texts.push([text, () => this.#events.onShow(line, { isWhole: true })]);
    }
    if (line.states > 1 && row.isFirst) {
      const text = line.isOpened ? "fold" : `${count(line.states)} states`;
      texts.push([text, () => this.#events.onShow(line, { isOpened: !line.isOpened })]);
    }
    return texts.length ? new ButtonsWidget(line, texts) : null;
  }

  #mark(style: Style): Decoration {
    let mark = this.#marks.get(style);
    if (!mark) {
      const { classes, variables } = appearance(style);
      const values = Object.entries(variables).map(([name, value]) => `${name}:${value}`);
      mark = Decoration.mark({
        class: classes,
        ...(values.length ? { attributes: { style: values.join(";") } } : {}),
      });
      this.#marks.set(style, mark);
    }
    return mark;
  }

  #keys() {
    const own = (key: string) => ({ key, run: () => this.#events.onKey(key) });
    const move = (isForward: boolean, isSelecting: boolean) => (view: EditorView) => {
      const height = Math.max(view.defaultLineHeight, view.scrollDOM.clientHeight - view.defaultLineHeight);
      const { main } = view.state.selection;
      const seen = view.lineBlockAtHeight(view.scrollDOM.scrollTop + 2).from;
      const block = view.lineBlockAt(main.head);
      const { scrollTop, clientHeight } = view.scrollDOM;
      // Where the cursor is out of sight, the page that is seen is what the key moves.
      const isSeen = block.bottom > scrollTop && block.top < scrollTop + clientHeight;
      const start = isSeen || isSelecting ? main : EditorSelection.cursor(seen);
      const moved = view.moveVertically(start, isForward, height);
      const selection = isSelecting ? EditorSelection.range(main.anchor, moved.head) : moved;
      view.dispatch({ selection });
      view.scrollDOM.scrollTop += isForward ? height : -height;
      return true;
    };
    const jump = (isForward: boolean, isSelecting: boolean) => (view: EditorView) => {
      const head = isForward ? view.state.doc.length : 0;
      const anchor = isSelecting ? view.state.selection.main.anchor : head;
      view.dispatch({ selection: EditorSelection.range(anchor, head) });
      if (isForward) this.toEnd();
      else view.scrollDOM.scrollTop = 0;
      this.#events.onEdge(isForward ? "last" : "first");
      return true;
    };
    return [
      ...["f", "e", "w", "n", "N", "/", "Mod-f", "Escape"].map(own),
      {
        key: "Mod-a",
        run: (view: EditorView) => {
          view.dispatch({ selection: EditorSelection.range(0, view.state.doc.length) });
          return true;
        },
      },
      { key: "PageDown", run: move(true, false), shift: move(true, true) },
      { key: "PageUp", run: move(false, false), shift: move(false, true) },
      { key: "Space", run: move(true, false), shift: move(false, false) },
      { key: "Home", run: jump(false, false), shift: jump(false, true) },
      { key: "End", run: jump(true, false), shift: jump(true, true) },
      { key: "Mod-Home", run: jump(false, false), shift: jump(false, true) },
      { key: "Mod-End", run: jump(true, false), shift: jump(true, true) },
    ];
  }
}

/** Leaves what is around an element where it is: to show a line, only the log is scrolled. */
function keepAround(host: HTMLElement): void {
  const places: [Element, number, number][] = [];
  for (let around = host.parentElement; around; around = around.parentElement) {
    if (around.scrollTop || around.scrollHeight > around.clientHeight) {
      places.push([around, around.scrollTop, around.scrollLeft]);
    }
  }
  queueMicrotask(() => {
    for (const [around, top, left] of places) {
      if (around.scrollTop !== top) around.scrollTop = top;
      if (around.scrollLeft !== left) around.scrollLeft = left;
    }
  });
}

function isRedrawn(update: ViewUpdate): boolean {
  return update.transactions.some((each) => each.effects.some((effect) => effect.is(redraw)));
}

const ERROR_LINE = Decoration.line({ class: "log-error" });
const FOUND = Decoration.mark({ class: "log-found" });
const CURRENT = Decoration.mark({ class: "log-found log-current" });

class LineNumber extends GutterMarker {
  override elementClass = "";

  constructor(readonly text: string) {
    super();
  }

  override eq(other: LineNumber): boolean {
    return other.text === this.text && other.elementClass === this.elementClass;
  }

  override toDOM(): Node {
    return document.createTextNode(this.text);
  }
}

function button(text: string, act: () => void): HTMLButtonElement {
  const made = document.createElement("button");
  made.type = "button";
  made.textContent = text;
  made.addEventListener("mousedown", (event) => event.preventDefault());
  made.addEventListener("click", act);
  return made;
}

class EdgeWidget extends WidgetType {
  constructor(
    readonly which: "above" | "below",
    readonly edge: EdgeText,
    readonly events: EditorEvents,
  ) {
    super();
  }

  override eq(other: EdgeWidget): boolean {
    return (
      other.which === this.which && other.edge.text === this.edge.text && other.edge.far === this.edge.far
    );
  }

  override toDOM(): HTMLElement {
    const dom = document.createElement("div");
    dom.className = "log-edge";
    const text = document.createElement("span");
    text.textContent = this.edge.text;
    dom.append(
      text,
      button("Load more", () => this.events.onEdge(this.which)),
      button(this.edge.far, () => this.events.onEdge(this.which === "above" ? "first" : "last")),
    );
    return dom;
  }

  override ignoreEvent(): boolean {
    return true;
  }
}

class EndWidget extends WidgetType {
  constructor(
    readonly text: string,
    readonly isBad: boolean,
  ) {
    super();
  }

  override eq(other: EndWidget): boolean {
    return other.text === this.text && other.isBad === this.isBad;
  }

  override toDOM(): HTMLElement {
    const dom = document.createElement("div");
    dom.className = this.isBad ? "log-end log-end-bad" : "log-end";
    dom.textContent = this.text;
    return dom;
  }
}

class ButtonsWidget extends WidgetType {
  constructor(
    readonly line: LogLine,
    readonly texts: readonly [string, () => void][],
  ) {
    super();
  }

  override eq(other: ButtonsWidget): boolean {
    return other.line === this.line && `${other.texts.map(first)}` === `${this.texts.map(first)}`;
  }

  override toDOM(): HTMLElement {
    const dom = document.createElement("span");
    dom.className = "log-more";
    dom.append(...this.texts.map(([text, act]) => button(text, act)));
    return dom;
  }

  override ignoreEvent(): boolean {
    return true;
  }
}

function first([text]: readonly [string, unknown]): string {
  return text;
}
