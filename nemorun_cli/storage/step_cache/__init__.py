"""The results of steps that can be reused: the files that count, and what is known of their contents."""
