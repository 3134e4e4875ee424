"""Whatever a client sends gets a clear answer in OpenAI's shape: never a 5xx, never a hang, and nobody else waits."""

import gzip
import json
import resource
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import openai
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.servers import RedisServer
from tests.system import CLIENT_KEY, ECHO, System

CHAT = "/v1/chat/completions"
CANARY = "canary-in-a-prompt"
REQUEST: dict[str, Any] = {"model": "echo", "messages": [{"role": "user", "content": CANARY}]}
RICH = REQUEST | {
    "messages": [
        {"role": "system", "content": [{"type": "text", "text": CANARY}]},
        {"role": "user", "content": [{"type": "text", "text": CANARY}], "name": "ann"},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
        },
        {"role": "tool", "tool_call_id": "c1", "content": CANARY},
    ],
    "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}],
    "tool_choice": {"type": "function", "function": {"name": "f"}},
    "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {}}},
    "stop": ["x"],
    "temperature": 1,
    "stream_options": {"include_usage": True},
    "metadata": {"a": "b"},
    "logit_bias": {"50256": 1},
}
HEADS = (f"Host: x\r\nAuthorization: Bearer {CLIENT_KEY}\r\nContent-Type: application/json\r\n").encode()
POST = b"POST /v1/chat/completions HTTP/1.1\r\n" + HEADS
BODY = json.dumps(REQUEST).encode()
LENGTH = b"Content-Length: %d\r\n" % len(BODY)
CHUNKED = b"Transfer-Encoding: chunked\r\n"
CHUNKS = b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY)
MANY = 10_000


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """One front and one worker; in the end nothing unforeseen stands in their logs, and no prompt."""
    folder = tmp_path_factory.mktemp("bad-input")
    redis = RedisServer(tmp_path_factory.mktemp("redis"))
    system = System(folder, {"providers": [ECHO], "front": {"body_timeout_s": 1}}, redis)
    try:
        yield system.start()
        logs = system.logs()
        assert "unforeseen" not in logs
        assert "Traceback" not in logs
        assert CANARY not in logs
    finally:
        system.close()
        redis.close()


@pytest.fixture(scope="module")
def client(system: System) -> Iterator[httpx.Client]:
    with httpx.Client(
        base_url=system.url, headers={"authorization": f"Bearer {CLIENT_KEY}"}, timeout=20, trust_env=False
    ) as client:
        yield client


def check(answer: httpx.Response, *statuses: int) -> dict[str, Any]:
    """The error of an answer, which must have one of these statuses and OpenAI's shape."""
    assert answer.status_code in statuses, answer.text
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-request-id"]
    error: dict[str, Any] = answer.json()["error"]
    assert error.keys() == {"message", "type", "param", "code"}
    assert error["message"]
    assert CANARY not in error["message"]
    return error


def post(client: httpx.Client, content: bytes, **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return client.post(CHAT, content=content, headers={"content-type": "application/json"} | named)


def talk(system: System, raw: bytes) -> bytes:
    """Sends bytes as they are; everything that comes back until the server closes. Times out after 20 s."""
    with socket.create_connection(("127.0.0.1", system.fronts[0].port), 20) as connection:
        connection.sendall(raw)
        return b"".join(iter(lambda: connection.recv(65536), b""))


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "invalid_json"),
        (b"hello", "invalid_json"),
        (b'{"model": "echo", "messages": [', "invalid_json"),
        (b'{"messages": [{"role": "user", "content": "\xff\xfe"}]}', "invalid_json"),
        (b'{"messages": [{"role": "user", "content": "\\ud800"}]}', "invalid_json"),
        (b'{"messages": [{"role": "user", "content": "a"}], "x": NaN}', "invalid_json"),
        (b"[" * 100_000 + b"]" * 100_000, "invalid_json"),
        (b'{"messages": [{"role": "user", "content": "a"}], "x": ' + b"[" * 300 + b"]" * 300 + b"}", "invalid_json"),
        (b"[1]", "invalid_type"),
        (b"null", "invalid_type"),
        (b"{}", "missing_required_parameter"),
    ],
    ids=range(11),
)
def test_a_body_that_is_no_request_is_400(client: httpx.Client, content: bytes, code: str) -> None:
    assert check(post(client, content), 400)["code"] == code


@pytest.mark.parametrize(
    ("change", "status", "param"),
    [
        ({"model": "ecoh"}, 404, "model"),
        ({"model": ""}, 400, "model"),
        ({"model": 5}, 400, "model"),
        ({"messages": []}, 400, "messages"),
        ({"messages": [{"role": "king", "content": "x"}]}, 400, "messages[0].role"),
        ({"messages": [{"role": "user", "content": [{"type": "film"}]}]}, 400, "messages[0].content[0].type"),
        ({"stream": "yes"}, 400, "stream"),
        ({"temperature": 3}, 400, "temperature"),
        ({"n": 0}, 400, "n"),
    ],
)
def test_a_wrong_field_is_named(client: httpx.Client, change: dict[str, Any], status: int, param: str) -> None:
    assert check(post(client, json.dumps(REQUEST | change).encode()), status)["param"] == param


def test_the_sdk_raises_its_own_errors(system: System) -> None:
    with openai.OpenAI(api_key=CLIENT_KEY, base_url=f"{system.url}/v1", max_retries=0) as sdk:
        with pytest.raises(openai.NotFoundError, match="Did you mean 'echo'"):
            sdk.chat.completions.create(model="ecoh", messages=[{"role": "user", "content": "x"}])
        with pytest.raises(openai.BadRequestError) as caught:
            sdk.chat.completions.create(model="echo", messages=[], stream=True)
        assert (caught.value.param, caught.value.code) == ("messages", "empty_array")
    with openai.OpenAI(api_key="sk-wrong", base_url=f"{system.url}/v1", max_retries=0) as sdk:
        with pytest.raises(openai.AuthenticationError) as refused:
            sdk.models.list()
        assert refused.value.code == "invalid_api_key"


@pytest.mark.parametrize(
    "content_type", ["", "text/plain", "application/x-www-form-urlencoded", "application/json; charset=utf-16"]
)
def test_another_content_type_is_415(client: httpx.Client, content_type: str) -> None:
    assert "Content-Type: application/json" in check(post(client, BODY, content_type=content_type), 415)["message"]


def test_gzip_is_understood_and_bombs_are_not(client: httpx.Client) -> None:
    assert post(client, gzip.compress(BODY), content_encoding="gzip").status_code == 200
    check(post(client, gzip.compress(b" " * 100_000_000), content_encoding="gzip"), 413)
    check(post(client, gzip.compress(BODY)[:-4], content_encoding="gzip"), 400)
    check(post(client, BODY, content_encoding="br"), 415)


def test_a_body_above_the_limit_is_413_declared_or_not(client: httpx.Client, system: System) -> None:
    piece = b" " * (1024 * 1024)
    check(post(client, piece * 33), 413)
    check(client.post(CHAT, content=iter([piece] * 33), headers={"content-type": "application/json"}), 413)
    assert b"HTTP/1.1 413 " in talk(system, POST + b"Connection: close\r\nContent-Length: 40000000\r\n\r\n")


@pytest.mark.parametrize("framing", [LENGTH + b"\r\n" + BODY[:9], CHUNKED + b"\r\n20\r\n" + BODY[:9]])
def test_half_a_body_and_then_silence_is_408(system: System, framing: bytes) -> None:
    answer = talk(system, POST + framing)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b'"code":"request_timeout"' in answer


@pytest.mark.parametrize(
    "raw",
    [
        POST + LENGTH + CHUNKED + b"\r\n" + CHUNKS,
        POST + CHUNKED + LENGTH + b"\r\n" + CHUNKS,
        POST + LENGTH + b"Content-Length: 5\r\n\r\n" + BODY,
        POST + LENGTH + LENGTH + b"\r\n" + BODY,
        POST + b"Content-Length: 5, 5\r\n\r\n" + BODY,
        POST + b"Content-Length: -5\r\n\r\n" + BODY,
        POST + b"Content-Length: +5\r\n\r\n" + BODY,
        POST + b"Content-Length: 0x5\r\n\r\n" + BODY,
        POST + b"Content-Length: 99999999999999999999999\r\n\r\n",
        POST + CHUNKED + b"\r\nzz\r\n" + BODY,
        POST + CHUNKED + b"\r\n-5\r\nhello",
        POST + CHUNKED + b"\r\nffffffffffffffffff\r\nhello",
        POST + CHUNKED + b"\r\n3\r\nabcdef\r\n0\r\n\r\n",
        POST + b"Transfer-Encoding: chunked, gzip\r\n\r\n" + CHUNKS,
        POST + b"Transfer-Encoding: xchunked\r\n\r\n" + CHUNKS,
        POST + b"Transfer-Encoding : chunked\r\n\r\n" + CHUNKS,
        POST + CHUNKED + b"Transfer-Encoding: identity\r\n\r\n" + CHUNKS,
        POST + b"X-Fold: a\r\n b\r\n" + LENGTH + b"\r\n" + BODY,
        POST + b"X-Nul: a\0b\r\n" + LENGTH + b"\r\n" + BODY,
        POST + b"X\0Nul: ab\r\n" + LENGTH + b"\r\n" + BODY,
        POST + b"X-Cr: a\rb\r\n" + LENGTH + b"\r\n" + BODY,
        POST + b"X Blank: b\r\n" + LENGTH + b"\r\n" + BODY,
        POST + b"No-Colon\r\n" + LENGTH + b"\r\n" + BODY,
        POST.replace(b"\r\n", b"\n") + b"Content-Length: 0\n\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 32,
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n",
        b"CONNECT x:80 HTTP/1.1\r\nHost: x\r\n\r\n",
    ],
    ids=range(29),
)
def test_what_two_readers_could_understand_differently_is_400_and_ends_the_connection(
    system: System, raw: bytes
) -> None:
    following = b"GET /livez HTTP/1.1\r\nHost: smuggled\r\n\r\n"
    answer = talk(system, raw + following)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.count(b"HTTP/1.1") == 1
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"connection: close" in head
    assert json.loads(body)["error"]["code"] == "invalid_http"


def test_a_head_without_end_is_431(system: System) -> None:
    assert talk(system, POST + b"X-Endless: " + b"a" * 1_000_000).startswith(b"HTTP/1.1 431 ")


def test_over_http_1_0_a_whole_answer_is_given_and_a_stream_refused(system: System) -> None:
    """The end of one could not be told from a connection that broke."""
    old = POST.replace(b"HTTP/1.1", b"HTTP/1.0")
    head, _, body = talk(system, old + LENGTH + b"\r\n" + BODY).partition(b"\r\n\r\n")
    assert b" 200 " in head
    assert b"content-length: %d\r\n" % len(body) in head
    streamed = json.dumps(REQUEST | {"stream": True}).encode()
    answer = talk(system, old + b"Content-Length: %d\r\n\r\n" % len(streamed) + streamed)
    assert answer.startswith(b"HTTP/1.1 426 ")
    assert b'"code":"http_version_not_supported"' in answer


@pytest.mark.parametrize(
    "path",
    ["/", "/v1", "/v1/", "/v1/chat", "/v1/chat/completion", "/chat/completions", "/../etc/passwd", "/%00", "/%ff"],
)
def test_an_unknown_endpoint_is_404_or_names_its_method(client: httpx.Client, path: str) -> None:
    check(client.post(path, json=REQUEST), 404, 405)


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "TRACE", "PROPFIND"])
def test_a_wrong_method_is_405(client: httpx.Client, method: str) -> None:
    answer = client.request(method, CHAT)
    check(answer, 405)
    assert answer.headers["allow"] == "POST"


@pytest.mark.parametrize("authorization", ["", "Bearer", "Basic c2s6eA==", "Bearer sk-wrong", "Bearer " + "x" * 9000])
def test_a_wrong_key_is_401_whatever_the_body(client: httpx.Client, authorization: str) -> None:
    answer = post(client, b"\xff", authorization=authorization)
    check(answer, 401)
    assert answer.headers["www-authenticate"] == "Bearer"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
fuzz = settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def check_any(answer: httpx.Response) -> None:
    if answer.status_code != 200:
        check(answer, 400, 404)


@fuzz
@given(body=json_values)
def test_any_json_is_answered(client: httpx.Client, body: Any) -> None:
    check_any(post(client, json.dumps(body).encode()))


@fuzz
@given(content=st.binary(max_size=60))
def test_any_bytes_are_answered(client: httpx.Client, content: bytes) -> None:
    check_any(post(client, content))


def find_places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every (container, key) in a JSON value."""
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield value, key
        yield from find_places(inner)


@st.composite
def mutated(draw: st.DrawFn) -> Any:
    """A right request with up to three of its values replaced or left out."""
    body = json.loads(json.dumps(RICH))
    for _ in range(draw(st.integers(1, 3))):
        places = list(find_places(body))
        container, key = places[draw(st.integers(0, len(places) - 1))] if places else (body, "x")
        if draw(st.booleans()):
            container[key] = draw(json_values)
        else:
            del container[key]
    return body


@fuzz
@given(body=mutated())
def test_a_right_request_with_faults_is_answered(client: httpx.Client, body: Any) -> None:
    check_any(post(client, json.dumps(body).encode()))


@fuzz
@given(position=st.integers(0, len(BODY) - 1), replacement=st.binary(max_size=3))
def test_a_right_request_with_damaged_bytes_is_answered(
    client: httpx.Client, position: int, replacement: bytes
) -> None:
    answer = post(client, BODY[:position] + replacement + BODY[position + 1 :])
    if answer.status_code != 200:
        # A damaged name may contain a part of the prompt only if it is the model's.
        check(answer, 400, 404)


def test_ten_thousand_idle_connections_stop_nobody(system: System, client: httpx.Client) -> None:
    before, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most != resource.RLIM_INFINITY and most < MANY + 500:
        pytest.skip(f"needs {MANY + 500} open files; the hard limit is {most}: raise it (ulimit -Hn)")
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    try:
        with ExitStack() as idle:
            for number in range(MANY):
                connection = idle.enter_context(socket.create_connection(("127.0.0.1", system.fronts[0].port), 20))
                if number % 2:
                    connection.sendall(POST[: number % len(POST)])
            for _ in range(20):
                assert post(client, BODY).status_code == 200
        assert post(client, BODY).status_code == 200
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (before, most))
