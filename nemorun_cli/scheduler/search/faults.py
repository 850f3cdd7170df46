"""What is wrong with a rule or a request, as the process that samples reports it."""


class SearchFault(Exception):  # noqa: N818 - a fault is what the other modules call it
    """A rule or a request that cannot be used; its text is the reason."""


class ExhaustedFault(SearchFault):
    """A grid has no point left."""
