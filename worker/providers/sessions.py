"""What upstreams that are web sites have in common: challenges, sign-in pages, derived ids, answers that only stream.

Sources for the marks of a challenge: Cloudflare's page "Detect a Challenge Page response" (header `cf-mitigated`) and
its error pages; public clients' reports of Alibaba's risk engine (`FAIL_SYS_USER_VALIDATE`, `RGV587_ERROR`). Two marks
are on pages that say that a site is down too: Cloudflare's own have `cf-error-details`, and it may put a script from
`/cdn-cgi/challenge-platform/` into any page that it passes on.
"""

from collections.abc import Generator, Mapping
from http import HTTPStatus
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

import orjson

from worker.faults import Fault, UpstreamError
from worker.providers.compatible_errors import STATUSES, announces_challenge, quote, retry_after, unexplained
from worker.providers.compatible_status import SUCCESS
from worker.providers.contract import Answer, Ask, ChatCall, JsonObject, Provider, UpstreamRequest, UpstreamResponse

_READ_BYTES = 64 * 1024
_MARKS = (
    b"<title>just a moment...",
    b"_cf_chl_opt",
    b"attention required! | cloudflare",
    b"error code: 1010",
    b"error code: 1015",
    b"error code: 1020",
    b"fail_sys_user_validate",
    b"rgv587_error",
    b"_____tmd_____/punish",
    b"aliyun_waf_",
)
_MARKS_OF_OUTAGES_TOO = (b"/cdn-cgi/challenge-platform/", b"cf-error-details")
_BLANKS = b"\xef\xbb\xbf \t\r\n"
_PAGES = (b"<!doctype html", b"<html")
_REDIRECTION = range(300, 400)
_PAGE_STATUSES = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.TOO_MANY_REQUESTS})
# A site says 403 to a session that ended. What it says without words of its own is not about the caller's request.
_BY_STATUS = {**STATUSES, HTTPStatus.FORBIDDEN: Fault.CREDENTIAL_REJECTED}

_NAMESPACE = uuid5(NAMESPACE_URL, "penstock")


class StreamedProvider(Provider):
    """An upstream whose answers always stream: a whole body in a stream's place is an error."""

    def parse_response(self, chat: ChatCall, body: bytes) -> JsonObject:
        raise self.parse_error(200, {}, body)


class SessionProvider(StreamedProvider):
    """A site where several calls make one answer."""

    def build_request(self, chat: ChatCall, credential: Any) -> UpstreamRequest:
        raise NotImplementedError("several calls make one answer here: see exchange")


def ask(
    provider: Provider, request: UpstreamRequest, *, creates: bool = False
) -> Generator[Ask | Answer, UpstreamResponse | None, Any]:
    """A side request of an exchange; returns its JSON, None for an empty body. Raises UpstreamError."""
    response = yield Ask(request, creates)
    assert response is not None
    announced = is_challenge(response.status, response.headers, b"")  # by its headers, whatever the body is
    if response.status not in SUCCESS or announced:
        raise provider.parse_error(response.status, response.headers, response.body)
    if not response.body:
        return None
    try:
        return orjson.loads(response.body)
    except orjson.JSONDecodeError:
        raise provider.parse_error(response.status, response.headers, response.body) from None


def derived_uuid(*names: str) -> str:
    """A UUID for upstreams that want one of the client: uuid5 of `names`, so the same call always has the same, but
    with the version digit of a random one, which is what sites accept.
    """
    return str(UUID(bytes=uuid5(_NAMESPACE, "/".join(names)).bytes, version=4))


def is_page(body: bytes) -> bool:
    """True for HTML."""
    return body[:_READ_BYTES].lstrip(_BLANKS).lower().startswith(_PAGES)


def may_become_page(beginning: bytes) -> bool:
    """True while too little has come to tell that it is no HTML."""
    told = beginning.lstrip(_BLANKS).lower()
    return any(start.startswith(told) for start in _PAGES)


def is_challenge(status: int, headers: Mapping[str, str], body: bytes) -> bool:
    """True if a person must act: a bot check, a block page, a sign-in page or the way to one.

    For bodies that are no answer: an answer may well talk about challenges.
    """
    if announces_challenge(headers):
        return True
    beginning = body[:_READ_BYTES].lower()
    marks = _MARKS if status >= HTTPStatus.INTERNAL_SERVER_ERROR else _MARKS + _MARKS_OF_OUTAGES_TOO
    if any(mark in beginning for mark in marks):
        return True
    if status in _REDIRECTION:
        return True
    called_a_page = headers.get("content-type", "").startswith("text/html")  # so are plain words, by some servers
    page = is_page(body) or (called_a_page and body.lstrip(_BLANKS)[:1] in {b"", b"<"})
    return page and (status in SUCCESS or status in _PAGE_STATUSES)


def challenge(site: str) -> UpstreamError:
    return UpstreamError(
        Fault.CHALLENGED,
        f"{site} asks for a browser check or a new sign-in instead of answering. Retrying does not help: the operator "
        "must open the site in a browser, sign in and renew this credential.",
    )


def session_error(
    status: int, headers: Mapping[str, str], body: bytes, *, site: str, said: str | None = None
) -> UpstreamError:
    """The fault of an answer that is none, by its status. `said` is the site's own message, where it was understood."""
    if is_challenge(status, headers, body):
        return challenge(site)
    fault = _BY_STATUS.get(status, Fault.UPSTREAM_FAULT) if said else unexplained(status, _BY_STATUS)
    told = f": {quote(said)}" if said else "."
    return UpstreamError(fault, f"{site} answered with HTTP {status}{told}", retry_after_s=retry_after(headers, status))
