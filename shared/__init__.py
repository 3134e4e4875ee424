"""What fronts and workers must agree on; nothing here does I/O but the bus and the metrics server."""
