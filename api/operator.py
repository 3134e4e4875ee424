"""Who may administer: the holder of the administration key, which is no client key."""

import hmac

from starlette.requests import Request

from api.auth import bearer
from api.state import FrontState, front_state
from shared.catalogue import Catalogue, key_digest, short_digest
from shared.errors import Forbidden, Unauthenticated, Unavailable


async def admit(request: Request) -> str:
    """The short digest of the administration key.

    Raises Forbidden where administration is off, Unauthenticated, RateLimited, and Unavailable without a catalogue or
    Redis.
    """
    state = front_state(request)
    catalogue = state.catalogue.current
    if catalogue is None:
        raise Unavailable("This gateway has no configuration at the moment.", code="not_ready", retry_after_s=2)
    if not catalogue.admin_digest:
        raise Forbidden(
            "Administration is off: give the workers an administration key, as PENSTOCK_MASTER_KEY or admin.key.",
            code="administration_off",
        )
    return await _compare(state, request, catalogue)


async def _compare(state: FrontState, request: Request, catalogue: Catalogue) -> str:
    key = bearer(dict(request.headers.raw))
    if not key:
        raise Unauthenticated("Send the administration key as Authorization: Bearer KEY.")
    digest = key_digest(catalogue.hmac_key, key)
    request.state.key_hash = short_digest(digest)
    right = hmac.compare_digest(digest, catalogue.admin_digest)
    await state.failures.count(request.client.host if request.client else "", wrong=not right)
    if not right:
        raise Unauthenticated("That is not the administration key. Client keys do not administer.")
    return short_digest(digest)
