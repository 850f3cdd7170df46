import { useRef } from "preact/hooks";
import { type ExperimentAddress, experimentName, type RecordAddress } from "../api/addresses";
import { RequestError, send } from "../api/client";
import { pathOf } from "../app/route";

/** The address of an action on an experiment. */
export function experimentAction(experiment: ExperimentAddress, action: string): string {
  return `/v1/control${pathOf("experiments", ...experimentName(experiment).split("/"), action)}`;
}

/** The address of an action on a record. */
export function recordAction({ prefix, root }: RecordAddress, action: string): string {
  const path = pathOf("records", ...prefix.split("/"), ".record", action);
  return `/v1/control${path}${root ? `?${new URLSearchParams({ root })}` : ""}`;
}

export type Act = <Document>(path: string, body: object) => Promise<Document>;

const ACCEPTED = 202;

/**
 * Carries out actions, each once: as long as the server has not answered, the same request is the same action,
 * however often it is sent. What takes longer than an answer waits for is waited for again.
 */
export function useAction(): Act {
  const keys = useRef(new Map<string, string>());
  return async <Document>(path: string, body: object): Promise<Document> => {
    const request = `${path}\n${JSON.stringify(body)}`;
    const key = keys.current.get(request) ?? newKey();
    keys.current.set(request, key);
    try {
      for (;;) {
        const answer = await send(path, { method: "POST", body, headers: { "Idempotency-Key": key } });
        if (answer.status !== ACCEPTED) return (await answer.json()) as Document;
      }
    } catch (error) {
      // What the server refused may be allowed later; without an answer it may have been done.
      if (error instanceof RequestError && error.status) keys.current.delete(request);
      throw error;
    }
  };
}

/** A random word; `crypto.randomUUID` is only there on a secure origin. */
function newKey(): string {
  return [...crypto.getRandomValues(new Uint8Array(16))]
    .map((byte) => byte.toString(16).padStart(2, "0"))
    .join("");
}
