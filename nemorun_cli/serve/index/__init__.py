"""The index: a cache of what the plain files contain, which can be deleted at any time."""
