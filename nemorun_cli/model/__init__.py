"""Plain values and their vocabulary: no effects, and no imports from other packages."""
