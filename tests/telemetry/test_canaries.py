"""Plants secrets and prompts wherever they can come from, then looks for them wherever they must not be."""

import httpx
import pytest

from shared.catalogue import key_digest, short_digest
from tests.system import SECRET
from tests.telemetry.aviary import Aviary, Monitor, left_behind
from tests.telemetry.hostile import ANSWERS, QUOTABLE
from worker.secrets import Secrets, parse_secret


async def test_nothing_that_was_planted_is_found(aviary: Aviary) -> None:
    """Client and provider keys, headers, query strings, prompts, answers, provider errors."""
    canaries = aviary.canaries
    monitor = Monitor(aviary.redis.port)
    told: dict[str, str] = {}
    for model in ANSWERS:
        for stream in (False, True):
            answer = await aviary.post(aviary.chat(model, stream=stream))
            told[f"{model} {stream}"] = answer.text + repr(answer.headers)
    assert canaries.provider_key in aviary.upstream.received, "the canaries did not reach the upstream"
    assert canaries.prompt in told["whole False"], "the answer did not reach the client"
    refused = await _refusals(aviary)
    assert {answer.status_code for answer in refused.values()} == {400, 401, 404}
    leaks = {name: canaries.found_in(text, *_allowed(name)) for name, text in told.items()}
    leaks |= {name: canaries.found_in(answer.text + repr(answer.headers), "prompt") for name, answer in refused.items()}
    leaks |= await left_behind(aviary, monitor)
    assert {place: found for place, found in leaks.items() if found} == {}


@pytest.mark.parametrize("passthrough", [True])
async def test_a_callers_own_key_reaches_the_upstream_and_nothing_else(aviary: Aviary) -> None:
    """It crosses Redis too, in a box that only workers can open. What the upstream says of this request its caller may
    hear, but no error repeats the key.
    """
    canaries = aviary.canaries
    monitor = Monitor(aviary.redis.port)
    leaks: dict[str, list[str]] = {}
    for model in ANSWERS:
        for stream in (False, True):
            answer = await aviary.post(aviary.chat(model, stream=stream), key=canaries.callers_own)
            assert canaries.callers_own in aviary.upstream.received
            assert canaries.provider_key not in aviary.upstream.received
            assert answer.status_code == 401 or model != "rejected", "it is the caller's own key that was rejected"
            content = ("callers_own",) if model in {"whole", "stream"} else ()
            text = answer.text + repr(answer.headers)
            leaks[f"{model} {stream}"] = canaries.found_in(text, "upstream", "prompt", *content)
    too_short = canaries.callers_own[-9:]
    refused = await aviary.post(aviary.chat("whole", stream=False), key=too_short)
    assert refused.status_code == 401
    leaks["refusal"] = [too_short] if too_short in refused.text else []
    leaks |= await left_behind(aviary, monitor)
    logs = aviary.system.logs()
    hashed = short_digest(key_digest(Secrets(parse_secret(SECRET)).hmac_key, canaries.callers_own))
    assert f'"key_hash":"{hashed}"' in logs
    assert too_short not in logs
    assert {place: found for place, found in leaks.items() if found} == {}


async def test_what_the_operator_brings_is_shown_to_nobody(aviary: Aviary) -> None:
    """Neither in answers, refusals and exports, nor on the way to the workers."""
    canaries = aviary.canaries
    monitor = Monitor(aviary.redis.port)
    brought = {"api_key": canaries.brought_secret}
    shown = (await aviary.administer("GET", "providers/hostile")).json()
    entry = {**shown, "name": "brought", "models": ["whole"], "credentials": [{"name": "b", **brought}]}
    answers = {
        "add": await aviary.administer(
            "POST", "providers", {**entry, "proxy": f"http://u:{canaries.brought_secret}@h"}
        ),
        "change": await aviary.administer("PUT", "providers/brought", entry),
        "disable": await aviary.administer("POST", "providers/hostile/disable"),
        "key": await aviary.administer("POST", "keys", {"name": "brought", "key": canaries.brought_key}),
        "chat": await aviary.post(aviary.chat("whole", stream=False), key=canaries.brought_key),
    }
    assert [answer.status_code for answer in answers.values()] == [201, 200, 200, 201, 200]
    assert canaries.brought_secret in aviary.upstream.received
    refusals = {
        "wrong field": await aviary.administer("PATCH", "providers/brought", {"proxies": brought}),
        "wrong type": await aviary.administer("PATCH", "providers/brought/credentials/b", {"api_key": [brought]}),
        "wrong key": await aviary.administer("GET", "providers", key=canaries.wrong_key),
        "same key": await aviary.administer("POST", "keys", {"name": "again", "key": canaries.brought_key}),
        "not an object": await aviary.administer("PUT", "keys/again", [canaries.brought_key]),
    }
    assert {answer.status_code for answer in refusals.values()} == {400, 401}
    for path in ("providers", "providers/brought", "providers/brought/credentials", "keys", "config", "accounts"):
        answers[path] = await aviary.administer("GET", path)
        assert answers[path].status_code == 200
    del answers["chat"]  # this upstream tells what it was sent
    leaks = {name: canaries.found_in(answer.text) for name, answer in {**answers, **refusals}.items()}
    leaks |= await left_behind(aviary, monitor)
    kept = [path.read_bytes() for path in (aviary.system.folder / "state").iterdir()]
    assert kept
    leaks["state folder"] = [name for box in kept for name in canaries.found_in(box.decode(errors="replace"))]
    assert {place: found for place, found in leaks.items() if found} == {}


def _allowed(name: str) -> tuple[str, ...]:
    """What the client of this answer may see: the answer itself, or what the upstream says of its own request."""
    model = name.split(maxsplit=1)[0]
    if model in {"whole", "stream"}:
        return ("prompt", "upstream", "provider_key")
    return ("prompt", "upstream") if model in QUOTABLE else ()


async def _refusals(aviary: Aviary) -> dict[str, httpx.Response]:
    """Requests that the front itself refuses, each with a canary where the fault is."""
    canaries = aviary.canaries
    body = aviary.chat("whole", stream=False)
    return {
        "wrong key": await aviary.post(body, key=canaries.wrong_key),
        "unknown model": await aviary.post({**body, "model": canaries.prompt}),
        "unknown path": await aviary.post(body, path=f"/v1/{canaries.prompt}"),
        "wrong type": await aviary.post({**body, "temperature": canaries.prompt}),
        "wrong role": await aviary.post({**body, "messages": [{"role": canaries.prompt, "content": canaries.prompt}]}),
        "not JSON": await aviary.post(None, raw=b'{"messages": ' + canaries.prompt.encode()),
        "not UTF-8": await aviary.post(None, raw=b'{"model": "\xff' + canaries.prompt.encode()),
        "a list": await aviary.post([canaries.prompt]),
    }
