"""Failures that a person can mend: one message and status 2, instead of a trace."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def told(*kinds: type[Exception]) -> Iterator[None]:
    """Ends the process with the message of an exception of these kinds, which says what the operator has to change."""
    try:
        yield
    except kinds as error:
        sys.stderr.write(f"penstock: {error}\n")
        sys.exit(2)
