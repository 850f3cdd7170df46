import type { ComponentType } from "preact";
import { useEffect, useState } from "preact/hooks";
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
  useEffect(() => {
    let isCurrent = true;
    load().then(
      (component) => {
        loaded.set(load, component as ComponentType<never>);
        if (isCurrent) setState({ load, component: component as ComponentType<never> });
      },
      (problem) => {
        if (isCurrent) setState({ load, problem });
      },
    );
    return () => {
      isCurrent = false;
    };
  }, [load]);
  if (state.load === load && state.problem) {
    return <ErrorNote error={state.problem} retry={() => location.reload()} />;
  }
  const Component = loaded.get(load) as ComponentType<Props> | undefined;
  return Component ? <Component {...(props as unknown as Props)} /> : null;
}
