"""The benchmark's own check of answers must notice what a gateway could do to them."""

from collections.abc import Callable

import pytest

from tests.bench.wire import check_text, filler, written_at


def _tokens(nonce: str, count: int) -> list[str]:
    return [f"{nonce}:{index}@{1000 + index}{filler(index)}" for index in range(count)]


def test_an_exact_answer_passes() -> None:
    check_text("".join(_tokens("a.1", 20)), "a.1", 20)


def test_a_token_tells_when_it_was_written() -> None:
    assert written_at(_tokens("a.1", 3)[2], "a.1", 2) == 1002


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda tokens: [*tokens[:5], *tokens[6:]], id="lost"),
        pytest.param(lambda tokens: tokens[:-1], id="last lost"),
        pytest.param(lambda tokens: [*tokens[:5], tokens[4], *tokens[5:]], id="doubled"),
        pytest.param(lambda tokens: [*tokens, tokens[-1]], id="last doubled"),
        pytest.param(lambda tokens: [*tokens[:4], tokens[5], tokens[4], *tokens[6:]], id="swapped"),
        pytest.param(lambda tokens: [*tokens[:8], _tokens("b.2", 20)[8], *tokens[9:]], id="of another answer"),
        pytest.param(lambda tokens: [*tokens[:3], tokens[3].replace("\n", ""), *tokens[4:]], id="altered"),
    ],
)
def test_a_spoilt_answer_is_noticed(spoil: Callable[[list[str]], list[str]]) -> None:
    with pytest.raises(ValueError, match=r"."):
        check_text("".join(spoil(_tokens("a.1", 20))), "a.1", 20)
