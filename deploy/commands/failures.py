"""Failures that a person can mend: one message and status 2, instead of a trace."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def told() -> Iterator[None]:
    """Ends the process with the message of what the operator has to change."""
    from deploy.embedded_redis import NoRedis
    from deploy.keys import KeyFileError
    from deploy.plan import CannotStart
    from worker.config.problems import ConfigError
    from worker.secrets import SecretsError

    try:
        yield
    except (CannotStart, ConfigError, KeyFileError, NoRedis, SecretsError) as error:
        sys.stderr.write(f"penstock: {error}\n")
        sys.exit(2)
