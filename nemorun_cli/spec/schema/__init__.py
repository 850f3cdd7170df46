"""The JSON Schema of a spec: checked, explained, and its violations in words."""
