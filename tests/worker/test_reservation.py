"""Tokens are reserved before they are known."""

from hypothesis import given
from hypothesis import strategies as st

from worker.reservation import reserve

contents = (
    st.none()
    | st.text(max_size=50)
    | st.lists(st.just({"type": "image_url"}) | st.builds(lambda t: {"text": t}, st.text()))
)
bodies = st.fixed_dictionaries(
    {"messages": st.lists(st.fixed_dictionaries({"content": contents}), max_size=4)},
    optional={"max_tokens": st.integers(1, 10**6), "n": st.integers(1, 8), "tools": st.just([{"type": "function"}])},
)


@given(bodies)
def test_a_strict_reservation_is_never_the_smaller_one(body: dict[str, object]) -> None:
    assert reserve(body, strict=True) >= reserve(body, strict=False) > 0


def test_strictly_every_choice_may_be_as_long_as_asked() -> None:
    assert reserve({"messages": [], "max_tokens": 5000, "n": 2}, strict=True) == 10_000


def test_a_picture_counts_as_a_picture_and_not_by_its_bytes() -> None:
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 10**6}}
    assert reserve({"messages": [{"role": "user", "content": [picture]}], "max_tokens": 1}, strict=False) < 1000
