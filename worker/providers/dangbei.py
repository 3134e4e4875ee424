"""Dangbei AI: listed so that imports and `penstock providers` can say why it is not offered.

Source: WenChunTech/OpenAICompatible `src/provider/dangbei/`: each chat call must be signed by an algorithm that is not
public, and that program has it signed by posting the whole prompt to a third party's server.
"""

from collections.abc import Mapping
from typing import NoReturn

from worker.faults import Fault, UpstreamError
from worker.providers.contract import (
    Capabilities,
    ChatCall,
    Credential,
    Provider,
    Status,
    StreamMapper,
    UpstreamRequest,
)

_REASON = (
    "Dangbei is not offered: its calls can only be signed by sending every prompt to a third party's signing server. "
    "Choose a model of another provider; DeepSeek, Qwen, GLM, Kimi and Doubao all have official APIs."
)


class Dangbei(Provider):
    type_name = "dangbei"
    title = "Dangbei AI (ai.dangbei.com)"
    status = Status.NOT_OFFERED
    note = "Its calls can only be signed by sending every prompt to a third party's server; answers 410."
    credential_fields = ()
    capabilities = Capabilities(
        streaming=False, tools=False, images=False, json_schema=False, reasoning=False, usage=False
    )

    def build_request(self, chat: ChatCall, credential: Credential) -> UpstreamRequest:
        """Raises UpstreamError(DISCONTINUED), always."""
        _refuse()

    def parse_response(self, chat: ChatCall, body: bytes) -> NoReturn:
        _refuse()

    def parse_error(self, status: int, headers: Mapping[str, str], body: bytes) -> UpstreamError:
        return UpstreamError(Fault.DISCONTINUED, _REASON)

    def stream_mapper(self, chat: ChatCall) -> StreamMapper:
        _refuse()


def _refuse() -> NoReturn:
    raise UpstreamError(Fault.DISCONTINUED, _REASON, sent=False)


PROVIDERS = (Dangbei(),)
