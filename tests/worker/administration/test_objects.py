"""Bodies of any shape become a configuration, or a refusal."""

from contextlib import suppress
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from shared.errors import GatewayError
from worker.administration.masks import Masks
from worker.administration.objects import Objects, Place
from worker.administration.refusals import refusal
from worker.administration.style import StyleList
from worker.config.loading import overlaid, parse
from worker.config.overlay import Overlay, Section
from worker.config.problems import ConfigError

FILE = parse(
    """
providers:
  - {name: one, type: openai, credentials: [{name: a, api_key: secret-a}, {name: b, api_key: secret-b}]}
models: {m: one/gpt}
keys: [{name: team, key: a-client-key-of-the-team}]
""",
    {},
    path=Path("f"),
    generation=1,
)
MASKS = Masks(b"k" * 32)
BEFORE = Overlay().merge("credentials", "one/b", {"weight": 2}, FILE.data).next()
_FIELDS = ("name", "type", "credentials", "models", "targets", "model", "key", "api_key", "base_url", "proxy", "limits")
_ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(("openai", "one", "a", "", "****0123456789ab")),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(_FIELDS), inner, max_size=4),
    max_leaves=12,
)
_BODIES = st.dictionaries(st.sampled_from(_FIELDS), _ANY, min_size=1, max_size=5)
_PLACES = st.sampled_from(
    (
        Place("providers", "one"),
        Place("providers", "new"),
        Place("credentials", "one/a"),
        Place("credentials", "one/x/y"),
        Place("models", "m"),
        Place("keys", "team"),
    )
)


@given(_PLACES, _BODIES, st.booleans())
def test_a_body_of_any_shape_is_taken_or_refused(place: Place, body: dict[str, Any], whole: bool) -> None:  # noqa: FBT001  drawn
    used = overlaid(FILE, BEFORE, {})
    objects = Objects(used, MASKS, {})
    with suppress(GatewayError):
        wanted = (objects.replace if whole else objects.merge)(place, body)(BEFORE, FILE)
        try:
            shown = Objects(overlaid(FILE, wanted, {}), MASKS, {})
        except ConfigError as error:
            raise refusal(error, wanted.apply(FILE.data)) from None
        sections: tuple[Section, ...] = ("providers", "models", "keys")
        assert "secret-" not in repr([shown.list(section, "") for section in sections])


@given(
    st.lists(st.fixed_dictionaries({"token": st.just("t-1"), "type": st.text(max_size=2), "config": _BODIES}) | _ANY)
)
def test_a_list_of_any_shape_is_taken_or_refused(body: list[Any]) -> None:
    with suppress(GatewayError):
        StyleList(FILE.data, MASKS, FILE.data).upsert(body)(BEFORE, FILE)


@given(
    st.sampled_from(("openai", "azure", "claude-web", "router", "model-name-router", "gemini", "skylark")), st.data()
)
def test_a_config_of_any_shape_is_taken_or_refused(type_name: str, data: st.DataObject) -> None:
    names = ("api_key", "api_base", "model", "proxies", "cookie", "token_pool", "model-2-token", "deployment_id")
    config = data.draw(st.dictionaries(st.sampled_from(names), _ANY, max_size=4))
    with suppress(GatewayError, ConfigError):
        maker = StyleList(FILE.data, MASKS, FILE.data).upsert([{"token": "t-1", "type": type_name, "config": config}])
        overlaid(FILE, maker(BEFORE, FILE), {})
