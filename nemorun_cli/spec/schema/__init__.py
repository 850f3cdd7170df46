"""The JSON Schema of a spec: validation, reference text, and messages for violations."""
