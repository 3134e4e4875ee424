"""Zhipu's fixtures beside the official zai-sdk."""

import inspect

import jwt
import orjson
import pytest
from zai.api_resource.chat.completions import Completions
from zai.types.chat.chat_completion import Completion, CompletionUsage
from zai.types.chat.chat_completion_chunk import Choice

from tests.providers.cases import Case, cases, split_events
from worker.faults import Fault, UpstreamError
from worker.providers.zhipu import signed_token

CASES = [case for case in cases() if case.folder.parent.name == "zhipu"]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_fixtures_are_what_the_official_package_reads_and_sends(case: Case) -> None:
    """Answers and events have its types; each field that we send is a parameter of its call."""
    Completion.model_validate(case.json("response.json"))
    for event in split_events(case.framing, case.stream_parts):
        data = orjson.loads(event.data) if event.data != b"[DONE]" else {}
        for choice in data.get("choices", ()):
            Choice.model_validate(choice)
        if data.get("usage"):
            CompletionUsage.model_validate(data["usage"])
    assert case.json("stream_request.json")["body"].keys() <= inspect.signature(Completions.create).parameters.keys()


def test_a_signed_token_can_be_verified_with_the_secret_alone() -> None:
    """The header and the claims are those of the official package, times in milliseconds."""
    token = signed_token("name.secret-secret-secret-secret-secret", 1_741_570_000_000)
    assert jwt.get_unverified_header(token) == {"alg": "HS256", "sign_type": "SIGN"}
    claims = jwt.decode(
        token, "secret-secret-secret-secret-secret", algorithms=["HS256"], options={"verify_exp": False}
    )
    assert claims == {"api_key": "name", "timestamp": 1_741_570_000_000, "exp": 1_741_573_600_000}


def test_a_key_without_secret_is_a_rejected_credential() -> None:
    """The operator's mistake is told as theirs, before anything is sent."""
    with pytest.raises(UpstreamError) as caught:
        signed_token("plain", 1)
    assert caught.value.fault is Fault.CREDENTIAL_REJECTED
    assert not caught.value.sent
