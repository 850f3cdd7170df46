// Keeps curves up to date while their programs run.
import type { Points } from "./appended";
import type { Curve, CurvesSource, Run } from "./model";

const MOST_FOLLOWED = 12; // curves: the topics of a stream are few, with more their records are watched

export interface FollowerHost {
  append(key: string, run: Run, more: Points): boolean;
  /** Reads all curves in sight of these records again. */
  reread(prefixes: readonly string[]): void;
}

interface Followed {
  readonly position: object;
  readonly end: () => void;
}

/** Follows each curve by what is appended to it, or else the records of the curves. */
export class Follower {
  readonly #source: CurvesSource;
  readonly #host: FollowerHost;
  readonly #followed = new Map<string, Followed>();
  #running = new Set<string>();
  #watched = "";
  #endWatch: (() => void) | undefined;

  constructor(source: CurvesSource, host: FollowerHost) {
    this.#source = source;
    this.#host = host;
  }

  stop(): void {
    for (const each of this.#followed.values()) each.end();
    this.#followed.clear();
    this.#endWatch?.();
  }

  /**
   * @param runs all runs of the view
   * @param keys the metrics in sight
   * @param curveOf the curve of a run as it is now, if it is that of the present window
   */
  update(
    runs: readonly Run[],
    keys: readonly string[],
    curveOf: (key: string, run: Run) => Curve | undefined,
  ): void {
    const running = runs.filter((run) => run.status === "RUNNING");
    this.#readEnds(running);
    const isFew = this.#source.follow !== undefined && running.length * keys.length <= MOST_FOLLOWED;
    const wanted = new Map<string, [Run, Curve & { position: object }]>();
    const others = running.filter((run) => {
      const own = keys.map((key) => curveOf(key, run));
      if (!isFew || !own.every((curve) => curve?.position)) return true;
      for (const curve of own) {
        wanted.set(`${run.id}\n${curve?.key}`, [run, curve as Curve & { position: object }]);
      }
      return false;
    });
    for (const [name, { position, end }] of this.#followed) {
      if (wanted.get(name)?.[1].position === position) continue;
      end();
      this.#followed.delete(name);
    }
    for (const [name, [run, curve]] of wanted) {
      if (!this.#followed.has(name)) this.#follow(name, run, curve);
    }
    this.#watch(others);
  }

  #follow(name: string, run: Run, curve: Curve & { position: object }): void {
    const end = this.#source.follow?.(run, curve, (more) => {
      if (more && this.#host.append(curve.key, run, more)) return;
      this.#followed.get(name)?.end();
      this.#host.reread([run.prefix]);
    });
    if (end) this.#followed.set(name, { position: curve.position, end });
  }

  /** What a program has logged at last may come after the news that it has ended. */
  #readEnds(running: readonly Run[]): void {
    const prefixes = new Set(running.map((run) => run.prefix));
    const ended = [...this.#running].filter((prefix) => !prefixes.has(prefix));
    this.#running = prefixes;
    if (ended.length) this.#host.reread(ended);
  }

  #watch(runs: readonly Run[]): void {
    const names = runs.map((run) => `${run.root} ${run.prefix}`).join("\n");
    if (names === this.#watched) return;
    this.#watched = names;
    this.#endWatch?.();
    this.#endWatch = this.#source.watch?.(runs, (prefixes) => this.#host.reread(prefixes));
  }
}
