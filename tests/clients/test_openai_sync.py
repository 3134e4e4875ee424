"""The official Python SDK, as a program uses it."""

import contextlib
from typing import Any

import httpx
import openai
import pytest
from openai.types.chat import ChatCompletionToolParam

from tests.clients.conftest import LIMITED_KEY, Gateway
from tests.system import CLIENT_KEY

SAID = "It was a bright cold day in April."
ECHO_TOOL: ChatCompletionToolParam = {
    "type": "function",
    "function": {
        "name": "note",
        "description": "Keeps a note.",
        "parameters": {
            "type": "object",
            "properties": {"text": {"type": "string"}, "times": {"type": "integer"}},
            "required": ["text", "times"],
        },
    },
}


def ask(client: openai.OpenAI, model: str = "echo", said: str = SAID, **options: Any) -> Any:
    return client.chat.completions.create(model=model, messages=[{"role": "user", "content": said}], **options)


def test_a_plain_answer_has_all_that_the_sdk_types_promise(gateway: Gateway) -> None:
    answer = ask(gateway.sync_client())
    assert answer.object == "chat.completion"
    assert answer.id.startswith("chatcmpl-")
    assert answer.model == "echo"
    assert answer.choices[0].message.role == "assistant"
    assert answer.choices[0].message.content == SAID
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage.prompt_tokens + answer.usage.completion_tokens == answer.usage.total_tokens > 0


def test_a_stream_is_the_plain_answer_in_parts(gateway: Gateway) -> None:
    chunks = list(ask(gateway.sync_client(), stream=True))
    assert len(chunks) > 3
    assert len({chunk.id for chunk in chunks}) == 1
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == SAID
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices[0].finish_reason] == ["stop"]
    assert all(chunk.usage is None for chunk in chunks), "usage was not asked for"


def test_a_stream_ends_with_usage_when_that_is_asked_for(gateway: Gateway) -> None:
    chunks = list(ask(gateway.sync_client(), stream=True, stream_options={"include_usage": True}))
    assert [bool(chunk.usage) for chunk in chunks].index(True) == len(chunks) - 1
    assert chunks[-1].choices == []
    assert chunks[-1].usage.total_tokens > 0


def test_a_tool_round_trip(gateway: Gateway) -> None:
    client = gateway.sync_client()
    messages: list[Any] = [{"role": "user", "content": "remember me"}]
    first = client.chat.completions.create(model="echo-tool", messages=messages, tools=[ECHO_TOOL])
    calls = first.choices[0].message.tool_calls
    assert first.choices[0].finish_reason == "tool_calls"
    assert calls is not None
    assert calls[0].type == "function"
    assert calls[0].function.name == "note"
    assert calls[0].function.arguments == '{"text":"remember me","times":1}'
    messages += [first.choices[0].message, {"role": "tool", "tool_call_id": calls[0].id, "content": "noted"}]
    second = client.chat.completions.create(model="echo-tool", messages=messages, tools=[ECHO_TOOL])
    assert second.choices[0].message.content == "noted"


def test_a_streamed_tool_call_is_put_together_by_the_sdks_own_helper(gateway: Gateway) -> None:
    with gateway.sync_client().chat.completions.stream(
        model="echo-tool", messages=[{"role": "user", "content": "remember me"}], tools=[ECHO_TOOL]
    ) as stream:
        final = stream.get_final_completion()
    calls = final.choices[0].message.tool_calls
    assert calls is not None
    assert calls[0].function.arguments == '{"text":"remember me","times":1}'
    assert final.choices[0].finish_reason == "tool_calls"


def test_models_are_listed_and_retrieved(gateway: Gateway) -> None:
    client = gateway.sync_client()
    assert {"echo", "echo-tool", "echo-error"} <= {model.id for model in client.models.list()}
    assert client.models.retrieve("echo").object == "model"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("no/such/model")


def test_a_key_sees_only_what_it_may_use(gateway: Gateway) -> None:
    client = gateway.sync_client(api_key=LIMITED_KEY)
    assert [model.id for model in client.models.list()] == ["echo"]
    with pytest.raises(openai.PermissionDeniedError) as caught:
        ask(client, "echo-tool")
    assert caught.value.param == "model"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("request_", "kind", "code"),
    [
        ({"api_key": "sk-wrong"}, openai.AuthenticationError, "invalid_api_key"),
        ({"model": "ecko/x"}, openai.NotFoundError, "model_not_found"),
        ({"temperature": 9}, openai.BadRequestError, None),
        ({"model": "echo-error", "said": "invalid_request"}, openai.BadRequestError, None),
        ({"model": "echo-error", "said": "context_too_long"}, openai.BadRequestError, "context_length_exceeded"),
        ({"model": "echo-error", "said": "content_filtered"}, openai.BadRequestError, "content_filter"),
        ({"model": "echo-error", "said": "overloaded"}, openai.InternalServerError, "overloaded"),
        ({"model": "echo-error", "said": "upstream_fault"}, openai.InternalServerError, "upstream_error"),
        ({"model": "echo-error", "said": "timed_out"}, openai.InternalServerError, "timeout"),
        ({"model": "echo-error", "said": "quota_exhausted"}, openai.InternalServerError, "upstream_quota_exhausted"),
        (
            {"model": "echo-error", "said": "permission_denied"},
            openai.InternalServerError,
            "upstream_permission_denied",
        ),
    ],
)
def test_errors_are_the_sdks_own_classes(
    gateway: Gateway,
    request_: dict[str, Any],
    kind: type[openai.APIStatusError],
    code: str | None,
    stream: bool,  # noqa: FBT001  a parameter of pytest
) -> None:
    options = dict(request_)
    key = options.pop("api_key", CLIENT_KEY)
    with pytest.raises(kind) as caught:
        ask(gateway.sync_client(api_key=key), stream=stream, **options)
    if code is not None:
        assert caught.value.code == code
    assert caught.value.message
    assert caught.value.request_id, "x-request-id is what a person tells the operator"


@pytest.mark.parametrize("stream", [False, True])
def test_a_limit_says_when_to_come_back(gateway: Gateway, stream: bool) -> None:  # noqa: FBT001  a parameter of pytest
    client = gateway.sync_client()
    with contextlib.suppress(openai.RateLimitError):
        ask(client, "impatient")
    with pytest.raises(openai.RateLimitError) as caught:
        ask(client, "impatient", stream=stream)
    assert caught.value.code == "rate_limit_exceeded"
    assert int(caught.value.response.headers["retry-after"]) >= 1


def test_an_error_names_the_field(gateway: Gateway) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        ask(gateway.sync_client(), temperature=9)
    assert caught.value.param == "temperature"
    assert caught.value.type == "invalid_request_error"


def test_an_answer_that_breaks_off_raises_after_its_beginning(gateway: Gateway) -> None:
    seen: list[str] = []
    chunks = ask(gateway.sync_client(), "num-n10-reset5", "broken-1", stream=True)
    with pytest.raises(openai.APIError) as caught:
        seen.extend(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert "".join(seen).split() == [f"broken-1:{index}" for index in range(5)]
    assert "closed the connection before its answer was complete" in caught.value.message


class Counted(httpx.Client):
    """The SDK's transport, with a count of what it sent."""

    def __init__(self) -> None:
        self.retry_counts: list[str] = []
        super().__init__(event_hooks={"request": [self._count]})

    def _count(self, request: httpx.Request) -> None:
        self.retry_counts.append(request.headers["x-stainless-retry-count"])


def test_the_sdk_retries_what_may_be_retried_and_nothing_else(gateway: Gateway) -> None:
    with Counted() as http:
        client = gateway.sync_client(max_retries=2, http_client=http)
        with pytest.raises(openai.InternalServerError):
            ask(client, "echo-error", "overloaded")
        assert http.retry_counts == ["0", "1", "2"]
    with Counted() as http:
        client = gateway.sync_client(max_retries=2, http_client=http)
        with pytest.raises(openai.BadRequestError):
            ask(client, "echo-error", "invalid_request")
        assert http.retry_counts == ["0"]


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_gives_up_ends_the_call_upstream(gateway: Gateway, stream: bool) -> None:  # noqa: FBT001  a parameter
    nonce = f"gave-up-{stream}"
    with pytest.raises(openai.APITimeoutError):
        list(ask(gateway.sync_client(timeout=0.5), "num-hang", nonce, stream=stream))
    gateway.wait_for_hang_up(nonce)


def test_raw_responses_show_our_headers(gateway: Gateway) -> None:
    messages: list[Any] = [{"role": "user", "content": SAID}]
    raw = gateway.sync_client().chat.completions.with_raw_response.create(model="echo", messages=messages)
    assert raw.headers["x-penstock-provider"] == "echo"
    assert raw.headers["x-penstock-attempts"] == "1"
    assert int(raw.headers["x-penstock-queue-ms"]) >= 0
    assert raw.headers["x-request-id"] == raw.request_id
    assert raw.parse().choices[0].message.content == SAID


def test_a_streaming_response_shows_its_headers_before_its_body(gateway: Gateway) -> None:
    messages: list[Any] = [{"role": "user", "content": SAID}]
    with gateway.sync_client().chat.completions.with_streaming_response.create(
        model="echo", messages=messages, stream=True
    ) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        assert response.headers["x-accel-buffering"] == "no"
        assert response.headers["x-penstock-provider"] == "echo"
        assert "".join(chunk.choices[0].delta.content or "" for chunk in response.parse()) == SAID


def test_a_request_id_of_the_clients_own_is_kept(gateway: Gateway) -> None:
    answer = ask(gateway.sync_client(), extra_headers={"x-request-id": "mine-1"})
    assert answer._request_id == "mine-1"


def test_several_choices_come_back_as_several(gateway: Gateway) -> None:
    answer = ask(gateway.sync_client(), n=3)
    assert [choice.message.content for choice in answer.choices] == [SAID] * 3
