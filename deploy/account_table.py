"""The accounts of a configuration with their states, as the workers keep them in Redis."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from deploy.embedded_redis import embedded_url
from deploy.keys import SECRET_KEY_FILE
from shared.bus import Bus, BusDown
from shared.names import OVERLAY
from worker.accounts.states import AccountView, State, view_accounts
from worker.administration.store import OverlayStore
from worker.config.loading import Loaded, overlaid
from worker.config.schema import Config
from worker.secrets import SecretsError, load_secrets, state_folder

_HEADINGS: Final = ("account", "state", "until", "running", "cause")
_TIMEOUT_S: Final = 5


class RedisAway(Exception):
    """Redis is not named or does not answer."""


async def show(file: Loaded, environ: Mapping[str, str]) -> tuple[str, bool]:
    """(a table, whether all are ready), what was changed over HTTP included.

    Raises RedisAway, ConfigError and SecretsError.
    """
    config = file.config
    configured = config.redis.url.get_secret_value() if config.redis else None
    url = environ.get("PENSTOCK_REDIS_URL") or configured or embedded_url(environ)
    if url is None:
        raise RedisAway("name the Redis of the running workers: redis.url in penstock.yaml, or PENSTOCK_REDIS_URL")
    bus = Bus(url)
    await bus.start()
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            await bus.up.wait()
            config = (await _in_use(bus, file, environ)).config
            wanted = [
                (provider.name, account.name) for provider in config.providers for account in provider.credentials
            ]
            views = await view_accounts(bus, wanted)
    except (BusDown, TimeoutError):
        raise RedisAway(f"Redis does not answer within {_TIMEOUT_S} s; is it the one of the workers?") from None
    finally:
        await bus.close()
    table = _table([_HEADINGS, *map(_row, views)])
    told = [_to_do(config, view) for view in views if view.state is State.NEEDS_RENEWAL]
    return "\n".join([table, *told]), all(view.state is State.READY for view in views)


def _to_do(config: Config, view: AccountView) -> str:
    """What a person must do, for a state that ends in no other way."""
    provider = config.provider(view.pool)
    source = provider.kind.credential_source if provider else ""
    return f"\n{view.pool}/{view.credential} needs a new credential in penstock.yaml. Where it comes from: {source}"


async def _in_use(bus: Bus, file: Loaded, environ: Mapping[str, str]) -> Loaded:
    """Raises BusDown, ConfigError, and SecretsError without the workers' secret, which alone reads the changes."""
    if not await bus.command("EXISTS", OVERLAY):
        return file
    folder = state_folder(environ)
    overlay = None
    if environ.get("PENSTOCK_SECRET_KEY") or (folder / SECRET_KEY_FILE).is_file():
        overlay = await OverlayStore(bus, load_secrets(environ), folder).fetch()
    if overlay is None:
        raise SecretsError("what was changed over HTTP can be read with the workers' PENSTOCK_SECRET_KEY alone")
    return overlaid(file, overlay, environ)


def _row(view: AccountView) -> tuple[str, ...]:
    until = datetime.fromtimestamp(view.until_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%SZ") if view.until_ms else "-"
    return f"{view.pool}/{view.credential}", view.state.value, until, str(view.busy), view.cause or "-"


def _table(rows: list[tuple[str, ...]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)
