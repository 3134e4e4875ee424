"""How things are started: the command line, the local supervisor and the embedded Redis."""
