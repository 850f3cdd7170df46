import type { ComponentType } from "preact";
import { useLayoutEffect, useState } from "preact/hooks";
import { checkVersion } from "../app/version";
import { ErrorNote } from "./ErrorNote";

interface State {
  readonly load: unknown;
  readonly component?: ComponentType<never>;
  readonly problem?: unknown;
}

const loaded = new WeakMap<object, ComponentType<never>>();

/** A part of the page that is loaded on use; nothing is shown until it is there. */
export function Part<Props extends object>({
  load,
  ...props
}: Props & { load: () => Promise<ComponentType<Props>> }) {
  const [state, setState] = useState<State>({ load: null });
  useLayoutEffect(() => {
    let isCurrent = true;
    load().then(
      (component) => {
        loaded.set(load, component as ComponentType<never>);
        if (isCurrent) setState({ load, component: component as ComponentType<never> });
      },
      async () => {
        const isOutdated = await checkVersion();
        const problem = isOutdated
          ? "The server has a new version of this page."
          : "The server does not answer.";
        if (isCurrent) setState({ load, problem });
      },
    );
    return () => {
      isCurrent = false;
    };
  }, [load]);
  if (state.load === load && state.problem) {
    return (
      <ErrorNote
        what="This part of the page cannot be loaded."
        error={state.problem}
        retry={() => location.reload()}
      />
    );
  }
  const Component = loaded.get(load) as ComponentType<Props> | undefined;
  return Component ? <Component {...(props as unknown as Props)} /> : null;
}
