"""Google, Qwen and Microsoft as they sign people in and answer, behind one TLS port under their own names."""

import hashlib
import itertools
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from aiohttp import web
from multidict import MultiDictProxy

from tests.outbound import Authority, Proxy, tcp_server

SITES: Final = (
    "accounts.google.com",
    "oauth2.googleapis.com",
    "cloudcode-pa.googleapis.com",
    "chat.qwen.ai",
    "portal.qwen.ai",
    "login.microsoftonline.com",
    "res.openai.azure.com",
)
PRINCIPAL: Final = {"tenant_id": "tenant-1", "client_id": "app-1", "client_secret": "principal-secret"}
_USAGE: Final = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}


class World:
    """Each sign-in is another person's. Access and refresh tokens are good until they are replaced, as Qwen's are.
    `life_s` is told with each.
    """

    def __init__(self) -> None:
        self.life_s: int | None = 3600
        self.consents: list[Any] = []
        """What the page of consent was asked, or the start of a device flow."""
        self.granted = False
        """Whether the person has entered the code."""
        self.grants: list[str] = []
        """The kinds of grant that tokens were given for."""
        self.bearers: list[str] = []
        """The access tokens of the questions that were asked."""
        self._numbers = itertools.count(1)
        self._good: dict[str, str] = {}
        self.principal_secret = PRINCIPAL["client_secret"]
        """That the app registration has now."""

    @property
    def secrets(self) -> list[str]:
        """The tokens that are good now: each person's access and refresh token, the last renewed ones last."""
        return [token for refresh, access in self._good.items() for token in (access, refresh)]

    def spoil(self, access: str) -> None:
        """The token is good no longer, whatever its life was said to be."""
        self._good[next(refresh for refresh, good in self._good.items() if good == access)] = ""

    def revoke(self, access: str) -> None:
        """The person takes the consent back."""
        self._good = {refresh: good for refresh, good in self._good.items() if good != access}

    async def handle(self, request: web.Request) -> web.Response:
        match request.host, request.path:
            case "chat.qwen.ai", "/api/v1/oauth2/device/code":
                return await self._device(request)
            case ("chat.qwen.ai", "/api/v1/oauth2/token") | ("oauth2.googleapis.com", "/token"):
                return self._token(await request.post())
            case "cloudcode-pa.googleapis.com", "/v1internal:loadCodeAssist":
                tier = {"currentTier": {"id": "standard-tier"}, "cloudaicompanionProject": "project-1"}
                return self._protected(request, tier)
            case "cloudcode-pa.googleapis.com", "/v1internal:generateContent":
                content = {"role": "model", "parts": [{"text": "hello"}]}
                candidate = {"content": content, "finishReason": "STOP", "index": 0}
                return self._protected(request, {"response": {"candidates": [candidate]}}, question=True)
            case "portal.qwen.ai", "/v1/chat/completions":
                choice = {"index": 0, "message": {"role": "assistant", "content": "hello"}, "finish_reason": "stop"}
                return self._protected(request, {"id": "c", "choices": [choice], "usage": _USAGE}, question=True)
            case "login.microsoftonline.com", "/tenant-1/oauth2/v2.0/token":
                return self._principal(await request.post())
            case "res.openai.azure.com", "/openai/v1/chat/completions":
                choice = {"index": 0, "message": {"role": "assistant", "content": "hello"}, "finish_reason": "stop"}
                return self._protected(request, {"id": "c", "choices": [choice], "usage": _USAGE}, question=True)
        return web.Response(status=404, text=f"{request.host}{request.path}")

    def consent(self, query: dict[str, str]) -> str:
        """The person consents at Google: the code with which the browser is sent back."""
        self.consents.append(query)
        return "code-1"

    async def _device(self, request: web.Request) -> web.Response:
        self.consents.append(dict(await request.post()))
        about = {"device_code": "dc", "user_code": "AB-CD", "verification_uri": "https://chat.qwen.ai/authorize"}
        return web.json_response({**about, "interval": 0.1, "expires_in": 60})

    def _token(self, form: MultiDictProxy[Any]) -> web.Response:
        kind = str(form["grant_type"]).rpartition(":")[2]
        if kind == "refresh_token" and self._good.pop(str(form["refresh_token"]), None) is None:
            return web.json_response({"error": "invalid_grant"}, status=400)
        if kind == "device_code" and not self.granted:
            return web.json_response({"error": "authorization_pending"}, status=400)
        if kind != "refresh_token" and not self._is_verified(str(form["code_verifier"])):
            return web.json_response({"error": "invalid_grant"}, status=400)
        self.grants.append(kind)
        number = next(self._numbers)
        access, refresh = f"access-token-{number}", f"refresh-token-{number}"
        self._good[refresh] = access
        tokens = {"access_token": access, "refresh_token": refresh, "token_type": "Bearer"}
        return web.json_response({**tokens, **({"expires_in": self.life_s} if self.life_s else {})})

    def _principal(self, form: MultiDictProxy[Any]) -> web.Response:
        """A token for an app registration, by its secret or its platform's assertion; no refresh token."""
        proof = form.get("client_secret") or form.get("client_assertion")
        if (form["client_id"], proof) != (PRINCIPAL["client_id"], self.principal_secret):
            return web.json_response({"error": "invalid_client", "error_codes": [7000215]}, status=401)
        if form["scope"] != "https://cognitiveservices.azure.com/.default":
            return web.json_response({"error": "invalid_scope", "error_codes": [70011]}, status=400)
        self.grants.append(str(form["grant_type"]))
        access = self._good[self.principal_secret] = f"access-token-{next(self._numbers)}"
        return web.json_response({"access_token": access, "token_type": "Bearer", "expires_in": self.life_s})

    def _is_verified(self, verifier: str) -> bool:
        """RFC 7636: the verifier of a challenge that was sent before."""
        challenge = urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        return bool(self.consents) and self.consents[-1]["code_challenge"] == challenge

    def _protected(self, request: web.Request, answer: dict[str, Any], *, question: bool = False) -> web.Response:
        bearer = request.headers["authorization"].removeprefix("Bearer ")
        if question:
            self.bearers.append(bearer)
        if bearer not in self._good.values():
            error = {"code": 401, "message": "Invalid credentials.", "status": "UNAUTHENTICATED"}
            return web.json_response({"error": error}, status=401)
        return web.json_response(answer)


@asynccontextmanager
async def running(world: World, authority: Authority) -> AsyncIterator[str]:
    """The URL of the proxy that alone leads there."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", world.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=authority.server(*SITES)).start()
    proxy = Proxy("user", "p@ss", dict.fromkeys(SITES, runner.addresses[0][1]))
    async with tcp_server(proxy.serve) as proxy_port:
        yield f"http://user:p%40ss@127.0.0.1:{proxy_port}"
        await runner.cleanup()
