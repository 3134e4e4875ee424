"""Takes the operator's requests off the queue, one at a time, and answers the fronts that asked."""

import asyncio
import contextlib
import json
import time
from typing import Any, Final

import structlog

from shared.administration import SEALED_FOR, AdminAnswer, AdminRequest
from shared.bus import Bus, BusDown, CommandRefused
from shared.errors import GatewayError, Unavailable
from shared.names import ADMIN_NEWS, ADMIN_QUEUE, admin_channel
from worker.administration.office import Office
from worker.secrets import SealBroken, Secrets

_LOOK_EVERY_S: Final = 1.0
_log = structlog.get_logger()


class Intake:
    def __init__(self, bus: Bus, secrets: Secrets, office: Office, *, look_every_s: float = _LOOK_EVERY_S) -> None:
        """Before the bus starts. Requests are told of; `look_every_s` is for those whose news got lost."""
        self._look_every_s = look_every_s
        self._bus = bus
        self._secrets = secrets
        self._office = office
        self._news = asyncio.Event()
        bus.subscribe(ADMIN_NEWS, lambda _: self._news.set())
        bus.on_up.append(lambda _: self._news.set())

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                while packed := await self._bus.command("LPOP", ADMIN_QUEUE):
                    await self._answer(packed)
            except (BusDown, CommandRefused) as error:
                _log.debug("administration not asked for", reason=str(error))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._look_every_s):
                    await self._news.wait()
            self._news.clear()

    async def _answer(self, packed: bytes) -> None:
        """Raises BusDown and CommandRefused when the answer cannot be sent."""
        try:
            request = AdminRequest.decode(packed)
        except (ValueError, TypeError) as error:
            _log.error("administration request refused", reason=str(error))
            return
        if request.deadline_ms < time.time() * 1000:
            return
        answer = await self._perform(request)
        await self._bus.command("PUBLISH", admin_channel(request.front), answer.encode())

    async def _perform(self, request: AdminRequest) -> AdminAnswer:
        try:
            return AdminAnswer(request.id, await self._office.perform(request, self._open(request)))
        except GatewayError as error:
            return AdminAnswer(request.id, error=error)
        except (BusDown, CommandRefused):
            message = "Redis could not be reached. Look at what is in force, then send the request again."
            return AdminAnswer(request.id, error=Unavailable(message, code="not_ready", retry_after_s=2))
        except Exception:  # noqa: BLE001  whatever it was, the operator must hear of it
            _log.exception("administration failed", request_id=request.request_id)
            message = "The gateway failed on this request. A worker's log names its id."
            return AdminAnswer(request.id, error=GatewayError(message, code="internal_error"))

    def _open(self, request: AdminRequest) -> Any:
        if not request.box:
            return None
        try:
            sealed = self._secrets.open_sealed(request.box, rid=request.id, provider=SEALED_FOR, now_s=time.time())
        except SealBroken:
            message = "The secret key of the workers has just changed. Nothing was changed; send the request again."
            raise Unavailable(message, code="not_ready", retry_after_s=2) from None
        return json.loads(sealed.key)
