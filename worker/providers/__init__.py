"""One file per dialect; each is pure: bytes and JSON in, bytes and JSON out. No I/O, clock, randomness or ids."""
