"""Accounts and routes through fronts, queue and workers, towards an upstream that counts."""

import asyncio
import itertools
import time
from collections import Counter
from typing import Any

import pytest

from tests.integration import pools
from tests.integration.counting import BROKEN, Counting, Gateway, error
from tests.integration.pools import RPM, RULED_KEY, WIDE

pytestmark = pytest.mark.asyncio(loop_scope="module")
WORKERS = 2
configuration = pools.configuration


async def test_two_workers_together_interleave_two_to_one(gateway: Gateway, upstream: Counting) -> None:
    for _ in range(12):
        assert (await gateway.ask("turns")).status_code == 200
    keys = upstream.keys()
    assert all(Counter(keys[i : i + 3]) == {"turns-a": 2, "turns-b": 1} for i in range(10))


async def test_accounts_share_connections_but_no_cookies(gateway: Gateway, upstream: Counting) -> None:
    """Each gets its own answer over a connection that had the other's before, and nobody gets the cookies back."""
    for number in range(12):
        answer = await gateway.ask("turns", str(number))
        assert answer.json()["choices"][0]["message"]["content"] == f"{upstream.keys()[-1]} {number}"
    assert {"turns-a", "turns-b"} in upstream.carried.values()
    assert upstream.cookies == []


async def test_the_target_with_the_fewest_running_for_its_weight_is_next(gateway: Gateway, upstream: Counting) -> None:
    """Of equals the one used longest ago, whichever worker runs them; when y's have ended, the next is y's."""
    gates = [upstream.gates.setdefault(f"idle-{name}-a", asyncio.Event()) for name in "xy"]
    asking = []
    for count in range(1, 7):
        asking.append(asyncio.create_task(gateway.ask("idlest")))
        await upstream.is_called(count)
    assert [model[-1] for model in upstream.models()] == ["x", "y", "x", "y", "x", "x"]
    assert len(await gateway.workers("idle-x", "idle-y")) == 2
    gates[1].set()
    await gateway.runs("idle-y", 0)
    await gateway.ask("idlest")
    assert upstream.models()[-1] == "idle-y"
    gates[0].set()
    assert {answer.status_code for answer in await asyncio.gather(*asking)} == {200}


async def test_random_draws_among_the_targets_and_spares_the_standby(gateway: Gateway, upstream: Counting) -> None:
    """Sixty draws: no turns, for some follow one another, and each is drawn; but for one chance in 10^17."""
    for _ in range(60):
        assert (await gateway.ask("drawn")).status_code == 200
    models = upstream.models()
    assert set(models) == {"drawn-x", "drawn-y"}
    assert any(one == next_ for one, next_ in itertools.pairwise(models))


async def test_a_failure_is_tried_again_with_another_credential(gateway: Gateway, upstream: Counting) -> None:
    upstream.plan["failing-a"] = [error(500, "broken", request_id="req_011CTfW5wZ9q8XnR")]
    upstream.plan["failing-b"] = []
    answer = await gateway.ask("failing")
    assert (answer.status_code, answer.headers["x-penstock-attempts"]) == (200, "2")
    assert upstream.keys() == ["failing-a", "failing-b"]
    assert '"upstream_request_id":"req_011CTfW5wZ9q8XnR"' in gateway.system.logs()


async def test_a_limited_account_rests_and_the_client_waits_instead_of_failing(
    gateway: Gateway, upstream: Counting
) -> None:
    upstream.plan["limited-a"] = [error(429, "rate_limit_exceeded", retry_after=1)]
    answers = await asyncio.gather(*(gateway.ask("limited", text=f"{i}") for i in range(5)))
    assert [answer.status_code for answer in answers] == [200] * 5
    assert len(upstream.seen) <= 5 + 5  # those that were on their way when the limit was met may meet it as well


async def test_a_rejected_credential_is_not_asked_again(gateway: Gateway, upstream: Counting) -> None:
    upstream.plan["rejected-a"] = [error(401, "invalid_api_key")] * 9
    for _ in range(6):
        assert (await gateway.ask("rejected")).status_code == 200
    assert upstream.keys().count("rejected-a") == 1


async def test_without_a_credential_that_works_the_error_blames_nobody(gateway: Gateway, upstream: Counting) -> None:
    upstream.plan["dead-a"] = [error(401, "invalid_api_key")]
    first, second = await gateway.ask("dead"), await gateway.ask("dead")
    assert [answer.status_code for answer in (first, second)] == [503, 503]
    assert {answer.json()["error"]["code"] for answer in (first, second)} == {"upstream_credential_invalid"}
    assert len(upstream.seen) == 1


async def test_a_wrong_request_is_not_tried_again(gateway: Gateway, upstream: Counting) -> None:
    upstream.plan["wrong"] = [error(400, "invalid_value")]
    assert (await gateway.ask("wrong")).status_code == 400
    assert len(upstream.seen) == 1


async def test_a_prompt_that_is_too_long_goes_to_the_fallback(gateway: Gateway, upstream: Counting) -> None:
    upstream.plan["long"] = [error(400, "context_length_exceeded")]
    answer = await gateway.ask("long-route")
    assert (answer.status_code, answer.headers["x-penstock-attempts"]) == (200, "2")
    assert upstream.models() == ["long", "long-other"]


async def test_a_route_chooses_what_its_fallback_is_for(gateway: Gateway, upstream: Counting) -> None:
    upstream.plan["long"] = [error(400, "content_filter"), error(400, "context_length_exceeded")]
    answers = [await gateway.ask("by-cause") for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 400]
    assert answers[1].json()["error"]["code"] == "context_length_exceeded"
    assert upstream.models() == ["long", "long-other", "long"]


async def test_the_next_in_order_serves_while_the_first_has_no_room(gateway: Gateway, upstream: Counting) -> None:
    gate = upstream.gates["foremost-a"] = asyncio.Event()
    first = asyncio.create_task(gateway.ask("in-order"))
    await upstream.is_called(1)
    assert (await gateway.ask("in-order")).status_code == 200
    gate.set()
    assert (await first).status_code == 200
    await gateway.runs("foremost", 0)
    assert (await gateway.ask("in-order")).status_code == 200
    assert upstream.models() == ["foremost", "idle-y", "foremost"]


async def test_the_first_of_a_race_wins_and_the_loser_is_cancelled(gateway: Gateway, upstream: Counting) -> None:
    upstream.pause_s["racing"] = 3600
    answer = await gateway.ask("fast")
    assert (answer.status_code, answer.headers["x-penstock-attempts"]) == (200, "2")
    assert upstream.models() == ["racing", "racing-other"]
    await upstream.hangs_up(1)


@pytest.mark.parametrize("suffix", ["", "-stream"])
async def test_what_the_loser_of_a_race_may_have_cost_counts_on_its_account(
    gateway: Gateway, upstream: Counting, suffix: str
) -> None:
    """1,500 tokens a minute are enough for one such request."""
    upstream.pause_s[f"costly{suffix}"] = 3600
    assert (await gateway.ask(f"dear{suffix}", stream=bool(suffix))).status_code == 200
    assert upstream.models() == [f"costly{suffix}", "racing"]
    await upstream.hangs_up(1)
    upstream.forget()
    assert (await gateway.ask(f"no-time{suffix}")).status_code == 429
    assert upstream.seen == []
    assert '"event":"attempt cancelled"' in gateway.system.logs()


async def test_a_race_calls_no_more_upstreams_than_a_request_may(gateway: Gateway, upstream: Counting) -> None:
    for name in WIDE:
        upstream.plan[name] = [BROKEN] * 9
    answer = await gateway.ask("wide")
    assert (answer.status_code, len(upstream.seen)) == (502, 2)


async def test_a_burst_waits_for_the_places_that_there_are(gateway: Gateway, upstream: Counting) -> None:
    """Forty at once on two places: all are served, and two run at any time, never more."""
    gate = upstream.gates["places-a"] = asyncio.Event()
    asking = [asyncio.create_task(gateway.ask("places", text=f"{i}")) for i in range(40)]
    await gateway.waits("places", 38)
    assert upstream.running == 2
    gate.set()
    assert {answer.status_code for answer in await asyncio.gather(*asking)} == {200}
    assert upstream.most_running == 2


async def test_ten_times_the_limit_is_served_in_the_order_of_arrival(gateway: Gateway, upstream: Counting) -> None:
    """Of two workers, for one place: what the upstream sees is the order of turns, whatever the way to it takes."""
    gate = upstream.gates["place-a"] = asyncio.Event()
    asking = []
    for i in range(11):
        asking.append(asyncio.create_task(gateway.ask("place", text=f"{i}")))
        await gateway.runs("place", 1)  # the first, for whom nobody waits
        await gateway.waits("place", i)
    gate.set()
    assert {answer.status_code for answer in await asyncio.gather(*asking)} == {200}
    assert [body["messages"][-1]["content"] for _, body in upstream.seen] == [f"{i}" for i in range(11)]


async def test_a_burst_above_the_rate_is_served_at_the_rate_without_a_429(gateway: Gateway, upstream: Counting) -> None:
    """However late calls arrive, none does before its turn."""
    burst, began = RPM * 4 // 100, time.monotonic()
    answers = await asyncio.gather(*(gateway.ask("rate", text=f"{i}") for i in range(120)))
    assert {answer.status_code for answer in answers} == {200}
    early = [n for n, at in enumerate(upstream.times) if n > burst + (at - began) * (RPM - burst) / 60]
    assert (len(upstream.times), early) == (120, [])


async def test_who_cannot_be_served_in_time_is_refused_at_once(gateway: Gateway, upstream: Counting) -> None:
    """One a minute, and 90 s to wait: the first is served and the second waits. The others hear at once that they
    cannot be: they have gone before the second has its turn.
    """
    asking = [asyncio.create_task(gateway.ask("impatient")) for _ in range(10)]
    answers = [await answer for answer in itertools.islice(asyncio.as_completed(asking), 9)]
    (waiting,) = [one for one in asking if not one.done()]
    waiting.cancel()
    refused = [answer for answer in answers if answer.status_code == 429]
    assert (len(refused), len(upstream.seen)) == (8, 1)
    assert all(int(answer.headers["retry-after"]) > 90 for answer in refused)
    assert all("estimated wait" in answer.json()["error"]["message"] for answer in refused)


async def test_a_keys_own_patience_counts_more_than_the_routes(gateway: Gateway, upstream: Counting) -> None:
    """One a minute: who has a second is refused at once, and who has what the route gives waits."""
    assert (await gateway.ask("patient")).status_code == 200
    refused = await gateway.ask("patient", key=RULED_KEY)
    assert (refused.status_code, int(refused.headers["retry-after"]) > 1) == (429, True)
    waiting = asyncio.create_task(gateway.ask("patient"))
    await gateway.waits("slower", 1)
    waiting.cancel()
    assert upstream.models() == ["slower"]


async def test_configuration_wins_over_the_client(gateway: Gateway, upstream: Counting) -> None:
    await gateway.ask("shaped", temperature=2, seed=3, top_p=0.5)
    _, body = upstream.seen[0]
    assert (body["temperature"], body["top_p"], "seed" in body) == (0.8, 0.5, False)


async def test_a_keys_rules_win_over_a_routes_and_these_over_a_providers(gateway: Gateway, upstream: Counting) -> None:
    asked: dict[str, Any] = {
        "temperature": 2,
        "top_p": 1,
        "seed": 3,
        "stop": ["x"],
        "logit_bias": {"1": 1},
        "frequency_penalty": 0.5,
    }
    assert (await gateway.ask("ruled", key=RULED_KEY, **asked)).status_code == 200
    assert (await gateway.ask("ruled", **asked)).status_code == 200
    frame = {"model", "messages", "stream"}
    with_rules, without = ({k: v for k, v in body.items() if k not in frame} for _, body in upstream.seen)
    of_the_route = {"top_p": 0.3, "n": 1, "frequency_penalty": 0.5}
    of_the_key = {"temperature": 0.1, "presence_penalty": 1, "user": "of-the-key", "max_tokens": 9}
    assert with_rules == of_the_route | of_the_key
    assert without == of_the_route | {"temperature": 0.8, "user": "of-the-route", "stop": ["x"]}


async def test_an_accounts_prefix_pins_it(gateway: Gateway, upstream: Counting) -> None:
    for _ in range(3):
        assert (await gateway.ask("second/pinned")).status_code == 200
    assert upstream.keys() == ["pinned-b"] * 3


async def test_a_conversation_keeps_its_account(gateway: Gateway, upstream: Counting) -> None:
    for i in range(12):
        await gateway.ask("talk", text=f"conversation {i % 3}")
    accounts = {(key, body["messages"][0]["content"]) for key, body in upstream.seen}
    assert len(accounts) == 3


async def test_two_hundred_callers_with_keys_of_their_own_are_never_mixed_up(gateway: Gateway) -> None:
    callers = [f"own-key-of-caller-{i:03}-0123456789" for i in range(200)]
    answers = await asyncio.gather(*(gateway.ask("own", text=f"by {key}", key=key) for key in callers))
    assert [answer.json()["choices"][0]["message"]["content"] for answer in answers] == [f"{k} by {k}" for k in callers]
