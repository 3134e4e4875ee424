"""Does what the operator asks for: looks at and changes objects of the configuration, and looks after accounts."""

from collections.abc import Mapping
from typing import Any, Protocol, cast

import structlog

from shared.administration import AdminRequest
from shared.errors import GatewayError, InvalidRequest
from worker.accounts.leases import Accounts
from worker.accounts.states import AccountView, State
from worker.administration.current import CurrentConfiguration
from worker.administration.masks import Masks
from worker.administration.objects import NOUNS, Maker, Objects, Place, edit_of, require_name
from worker.administration.refusals import resting_for_good
from worker.administration.style import StyleList
from worker.config.importers import render_data
from worker.config.loading import Loaded
from worker.config.overlay import Fields, Section

_log = structlog.get_logger()


class Dispatching(Protocol):
    """What accounts look like, and how to bring one back."""

    @property
    def accounts(self) -> Accounts: ...

    async def view(self) -> list[AccountView]: ...


class Office:
    def __init__(
        self, current: CurrentConfiguration, masks: Masks, dispatch: Dispatching, environ: Mapping[str, str]
    ) -> None:
        self._current = current
        self._masks = masks
        self._dispatch = dispatch
        self._environ = environ

    async def perform(self, request: AdminRequest, body: Any) -> Any:
        """The answer's content. Raises GatewayError, BusDown and CommandRefused. Writes the audit's line."""
        outcome, code = "completed", ""
        try:
            await self._current.catch_up()
            return await self._perform(request, body)
        except GatewayError as error:
            outcome, code = "refused", error.code or ""
            raise
        except Exception:
            outcome = "failed"
            raise
        finally:
            _log.info(
                "administration",
                action=request.action,
                object="/".join(filter(None, (request.section, _name(request, body)))),
                key_hash=request.key_hash,
                client_address=request.client_address,
                request_id=request.request_id,
                generation=self._current.loaded.generation,
                outcome=outcome,
                error_code=code,
            )

    async def _perform(self, request: AdminRequest, body: Any) -> Any:
        match request.section:
            case "accounts" if request.action == "list":
                return await self._accounts()
            case "accounts":
                return await self._reset(request.name)
            case "config":
                return render_data(self._masks.hide(self._current.loaded.data))
            case "style":
                return await self._style(request.action, body)
            case _:
                return await self._objects(request, body)

    # ---- objects

    def _look(self, loaded: Loaded | None = None) -> Objects:
        return Objects(loaded or self._current.loaded, self._masks, self._environ)

    async def _objects(self, request: AdminRequest, body: Any) -> Any:
        section = cast("Section", request.section)
        if request.action == "list":
            return {"object": "list", "data": self._look().list(section, request.name)}
        if request.action == "create":
            require_name(body)
        place = Place(section, _name(request, body))
        if request.action != "read":
            await self._current.change(edit_of(lambda loaded: _maker(self._look(loaded), request.action, place, body)))
        if request.action == "remove":
            return {"name": place.own_name, "object": NOUNS[section], "deleted": True}
        return self._look().read(place)

    async def _style(self, action: str, body: Any) -> Any:
        def look(loaded: Loaded) -> StyleList:
            return StyleList(loaded.data, self._masks, self._look(loaded).data)

        match action:
            case "list":
                return look(self._current.loaded).shown()
            case "replace":
                await self._current.change(edit_of(lambda loaded: look(loaded).upsert(body)))
            case _:
                await self._current.change(edit_of(lambda loaded: look(loaded).delete(body)))
        return {"success": True}

    # ---- accounts

    async def _accounts(self) -> Fields:
        disabled = self._disabled()
        views = await self._dispatch.view()
        return {"object": "list", "data": [_describe(view, disabled) for view in views]}

    async def _reset(self, name: str) -> Fields:
        self._look().require(Place("credentials", name))
        if name in self._disabled():
            raise resting_for_good(name)
        pool, _, credential = name.partition("/")
        self._dispatch.accounts.revive(pool, credential)
        found = next(view for view in await self._dispatch.view() if (view.pool, view.credential) == (pool, credential))
        return _describe(found, set())

    def _disabled(self) -> set[str]:
        """By the configuration, whether or not Redis has been told."""
        providers = self._current.loaded.config.providers
        return {
            f"{provider.name}/{account.name}"
            for provider in providers
            for account in provider.credentials
            if provider.disabled or account.disabled
        }


def _name(request: AdminRequest, body: Any) -> str:
    """That of the object; what is added is named in the body."""
    own = body.get("name") if request.action == "create" else None
    return "/".join(filter(None, (request.name, own if isinstance(own, str) else None)))


def _maker(objects: Objects, action: str, place: Place, body: Any) -> Maker:
    match action:
        case "create":
            return objects.create(place, body)
        case "replace":
            return objects.replace(place, body)
        case "merge":
            return objects.merge(place, body)
        case "remove":
            return objects.remove(place)
        case "enable" | "disable":
            return objects.switch(place, on=action == "enable")
        case _:
            raise InvalidRequest(f"{action!r} is nothing that can be done here.")


def _describe(view: AccountView, disabled: set[str]) -> Fields:
    off = f"{view.pool}/{view.credential}" in disabled
    return {
        "object": "account",
        "provider": view.pool,
        "credential": view.credential,
        "state": (State.DISABLED if off else view.state).value,
        "cause": ("configuration" if off else view.cause) or None,
        "since_ms": view.since_ms or None,
        "until_ms": None if off else view.until_ms or None,
        "running": view.busy,
        "learned_rpm": view.learned_rpm,
    }
