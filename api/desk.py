"""Hands the operator's requests to the workers, and their answers back."""

import asyncio
import secrets
import time
from typing import Any, Final

from shared.administration import SEALED_FOR, AdminAnswer, AdminRequest
from shared.bus import Bus, BusDown, CommandRefused
from shared.catalogue import Catalogue
from shared.errors import Unavailable
from shared.names import ADMIN_NEWS, ADMIN_QUEUE, admin_channel
from shared.sealing import seal

_PATIENCE_S: Final = 5.0
_KEPT_S: Final = 60


class Desk:
    def __init__(self, bus: Bus, front: str, *, patience_s: float = _PATIENCE_S) -> None:
        """Before the bus starts. `front` is unique to this process."""
        self._bus = bus
        self._front = front
        self._patience_s = patience_s
        self._asked: dict[str, asyncio.Future[AdminAnswer]] = {}
        bus.subscribe(admin_channel(front), self._hear)

    async def ask(self, catalogue: Catalogue, body: bytes, **about: str) -> Any:
        """What a worker answers. `about` are the fields of AdminRequest that say what is asked, and who asks; `body` is
        JSON, sealed before it goes anywhere.

        Raises what the worker raised, and Unavailable when none answers.
        """
        id_, now_s = secrets.token_hex(12), time.time()
        box = b""
        if body:
            box = seal(
                catalogue.sealing_key,
                catalogue.sealing_key_id,
                body.decode(),
                rid=id_,
                provider=SEALED_FOR,
                expires_at_s=now_s + _KEPT_S,
            )
        deadline_ms = round((now_s + self._patience_s) * 1000)
        request = AdminRequest(id=id_, front=self._front, deadline_ms=deadline_ms, box=box, **about)
        answer = await self._send(request)
        if answer.error is not None:
            raise answer.error
        return answer.content

    async def _send(self, request: AdminRequest) -> AdminAnswer:
        packed = request.encode()
        future: asyncio.Future[AdminAnswer] = asyncio.get_running_loop().create_future()
        self._asked[request.id] = future
        try:
            async with asyncio.timeout(self._patience_s):
                await self._bus.command("RPUSH", ADMIN_QUEUE, packed)
                self._bus.post("EXPIRE", ADMIN_QUEUE, _KEPT_S)
                self._bus.post("PUBLISH", ADMIN_NEWS, "")
                return await future
        except TimeoutError:
            raise await self._unanswered(packed) from None
        except (BusDown, CommandRefused):
            raise _unknown("Redis cannot be reached.") from None
        finally:
            del self._asked[request.id]

    async def _unanswered(self, packed: bytes) -> Unavailable:
        try:
            if await self._bus.command("LREM", ADMIN_QUEUE, 1, packed):
                message = "No worker has taken the request: nothing was changed. Send it again when one runs."
                return Unavailable(message, code="no_worker", retry_after_s=2)
        except (BusDown, CommandRefused):
            pass
        return _unknown("The worker that took the request did not answer.")

    def _hear(self, message: bytes) -> None:
        answer = AdminAnswer.decode(message)
        future = self._asked.get(answer.id)
        if future is not None and not future.done():
            future.set_result(answer)


def _unknown(why: str) -> Unavailable:
    message = f"{why} Whether anything was changed is not known: look at what is in force, then send the request again."
    return Unavailable(message, code="no_answer", retry_after_s=2)
