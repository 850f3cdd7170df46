"""Plain values and their vocabulary: no side effects, and no imports from other packages."""
