"""What a soak calls a problem."""

from tests.bench.soak import CALLERS, Soak


def _memory(mb_per_minute: float) -> dict[str, list[tuple[float, float]]]:
    return {"front 1": [(second, 80 + second * mb_per_minute / 60) for second in range(0, 600, 2)]}


def test_flat_memory_and_told_failures_are_well() -> None:
    assert Soak(exact=1000, told=CALLERS, kills=1, samples=_memory(0.0)).problems() == []


def test_memory_that_grows_is_a_problem() -> None:
    assert any("memory of front 1" in problem for problem in Soak(exact=1, samples=_memory(2.0)).problems())


def test_growth_while_warming_up_is_none() -> None:
    samples = [(float(second), min(80.0 + second, 150.0)) for second in range(0, 600, 2)]
    assert Soak(exact=1, samples={"worker": samples}).problems() == []


def test_more_failures_than_kills_explain_are_a_problem() -> None:
    assert Soak(exact=1, told=CALLERS + 1, kills=1).problems()


def test_a_request_that_was_not_told_is_a_problem() -> None:
    assert Soak(exact=1, untold=["x1: cut"]).problems()


def test_a_key_left_in_redis_is_a_problem() -> None:
    assert Soak(exact=1, leftovers={"{ps}:jobs": "in Redis"}).problems()


def test_no_answer_at_all_is_a_problem() -> None:
    assert Soak().problems()
