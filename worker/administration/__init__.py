"""Administration over HTTP: changes to the configuration while it runs, kept beside the file."""
