export function DeviceView() {
  return <h1>Allow a login</h1>;
}
