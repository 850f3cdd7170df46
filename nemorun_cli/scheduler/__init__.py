"""Pure decisions: which task may run, what is retried or skipped, and what a resume runs again."""
