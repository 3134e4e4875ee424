"""The accounts of a configuration with their states, as the workers keep them in Redis."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from deploy.embedded_redis import embedded_url
from shared.bus import Bus, BusDown
from worker.accounts.states import AccountView, State, view_accounts
from worker.config.schema import Config

_HEADINGS: Final = ("account", "state", "until", "running", "cause")
_TIMEOUT_S: Final = 5


class RedisAway(Exception):
    """Redis is not named or does not answer."""


async def show(config: Config, environ: Mapping[str, str]) -> tuple[str, bool]:
    """(a table, whether all are ready). Raises RedisAway."""
    configured = config.redis.url.get_secret_value() if config.redis else None
    url = environ.get("PENSTOCK_REDIS_URL") or configured or embedded_url(environ)
    if url is None:
        raise RedisAway("name the Redis of the running workers: redis.url in penstock.yaml, or PENSTOCK_REDIS_URL")
    wanted = [(provider.name, account.name) for provider in config.providers for account in provider.credentials]
    bus = Bus(url)
    await bus.start()
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            await bus.up.wait()
            views = await view_accounts(bus, wanted)
    except (BusDown, TimeoutError):
        raise RedisAway(f"Redis does not answer within {_TIMEOUT_S} s; is it the one of the workers?") from None
    finally:
        await bus.close()
    return _table([_HEADINGS, *map(_row, views)]), all(view.state is State.READY for view in views)


def _row(view: AccountView) -> tuple[str, ...]:
    until = datetime.fromtimestamp(view.until_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%SZ") if view.until_ms else "-"
    return f"{view.pool}/{view.credential}", view.state.value, until, str(view.busy), view.cause or "-"


def _table(rows: list[tuple[str, ...]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)
