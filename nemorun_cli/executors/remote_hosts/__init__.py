"""Remote hosts behind ssh: the connection, the files sent there, and the files of attempts, copied back."""
