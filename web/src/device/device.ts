/** What `POST /v1/device/find` answers. */
export interface DeviceDocument {
  readonly format: "exp.device/1";
  /** What the program calls itself. */
  readonly name: string;
  readonly address: string;
  readonly scopes: readonly Scope[];
  /** Seconds since it asked, and until its code ends. */
  readonly age: number;
  readonly left: number;
}

export type Scope = "read" | "write" | "control";

/** A code as terminals show it: `KQXR-BZMP`. */
export function written(code: string): string {
  const letters = code.replace(/[^\p{L}\p{N}]/gu, "").toUpperCase();
  return letters.length === 8 ? `${letters.slice(0, 4)}-${letters.slice(4)}` : code;
}
