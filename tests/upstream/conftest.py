"""One whole Penstock before the fake upstream of every provider type."""

import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx2
import openai
import pytest

from tests.providers.cases import STREAMS, Case, cases, settings
from tests.servers import ROOT, Logged, Process, RedisServer, free_port, wait_until
from tests.system import CLIENT_KEY, System
from tests.upstream.script import events
from worker.providers.contract import Framing, LocalProvider, Status


@dataclass(frozen=True)
class Scene:
    """A provider entry: one case, spoken to by an upstream that behaves in some way."""

    case: Case
    behaviour: str = ""
    accounts: tuple[str, ...] = ("one",)

    @property
    def name(self) -> str:
        return "--".join(filter(None, [self.case.folder.parent.name, self.case.folder.name, self.behaviour.strip("~")]))

    @property
    def model(self) -> str:
        """The name that a client asks for."""
        return f"{self.name}/{self.case.call().model}"

    @property
    def errors(self) -> list[Any]:
        """What errors.json of the type holds."""
        path = self.case.folder.parent / "errors.json"
        return json.loads(path.read_bytes()) if path.exists() else []

    def entry(self, upstream: str) -> dict[str, Any]:
        """The provider entry of penstock.yaml; the upstream sees the same path as the case's own base_url has."""
        chat, provider = self.case.chat, self.case.provider
        base = urlsplit(settings(provider, chat).base_url)
        parts = [self.behaviour, self.case.folder.parent.name, self.case.folder.name, base.path.strip("/")]
        return {
            "name": self.name,
            "type": provider.type_name,
            "base_url": "/".join([upstream, *filter(None, parts)]),
            "models": [self.case.call().model],
            "drop_params": chat.get("drop_params", False),
            "credentials": [{"name": name, **self.case.credential.values} for name in self.accounts],
            **({"accept_unofficial": True} if provider.status is not Status.OFFICIAL else {}),
            **chat.get("options", {}),
        }


def answered() -> list[Scene]:
    """Every case that shows a finished answer of an upstream."""
    return [
        Scene(case)
        for case in cases()
        if not isinstance(case.provider, LocalProvider)
        and case.provider.status is not Status.NOT_OFFERED
        and case.path("completion.json", "stream_completion.json")
    ]


def one_of_each_type(scenes: list[Scene], behaviour: str) -> list[Scene]:
    """The case of each type that speaks in most pieces, with this behaviour."""
    longest: dict[str, Scene] = {}
    for scene in scenes:
        name = scene.case.folder.parent.name
        if scene.case.path(*STREAMS) and (name not in longest or _pieces(scene) > _pieces(longest[name])):
            longest[name] = Scene(scene.case, behaviour)
    return list(longest.values())


def _pieces(scene: Scene) -> tuple[int, int]:
    """How many there are, and how many bytes that is."""
    pieces = events(scene.case)
    return len(pieces), sum(map(len, pieces))


def refused() -> list[Scene]:
    """For each type two errors that no other attempt could mend, so that they are told at once."""
    told = []
    for scene in one_of_each_type(SCENES, ""):
        final = [number for number, entry in enumerate(scene.errors) if entry["fault"] in FINAL]
        told += [Scene(scene.case, f"~error-{number}") for number in final[:2]]
    return told


def refused_in_streams() -> list[Scene]:
    """Every event stream of which such an error is the first event; not again for cases that are like another."""
    return [
        Scene(scene.case, f"~broken-{number}")
        for scene in SCENES
        if (scene.case.folder / "broken_streams.json").exists() and scene.case.framing is Framing.SSE
        for number, entry in enumerate(scene.case.json("broken_streams.json"))
        if entry["fault"] in FINAL and '"content":"' not in entry["stream"].replace('"content":""', "")
    ]


def removes(case: Case) -> bool:
    """Whether its exchange ends with removing what it created."""
    return "DELETE" in [step["ask"]["method"] for step in case.json("stream_exchange.json") or () if "ask" in step]


def challenged() -> list[Scene]:
    """For each type that is a site, every challenge of it: to all that is asked, and to the question alone."""
    told = []
    for scene in one_of_each_type([scene for scene in SCENES if _is_plain(scene.case)], ""):
        for number, entry in enumerate(scene.errors):
            if entry["fault"] == "challenged":
                kinds = ("~wall", "~error") if removes(scene.case) else ("~wall",)
                told += [Scene(scene.case, f"{kind}-{number}", ACCOUNTS) for kind in kinds]
    return told


def told_to_wait() -> list[Scene]:
    """Whatever tells how long to wait: each type's refusals, and streams but for those that name a moment of a past
    day.
    """
    told = []
    for scene in one_of_each_type(SCENES, ""):
        told += [Scene(scene.case, f"~error-{n}") for n, entry in enumerate(scene.errors) if "retry_after_s" in entry]
    for scene in SCENES:
        streams = enumerate(scene.case.json("broken_streams.json") or ())
        waits = [n for n, entry in streams if "retry_after_s" in entry and "resetsAt" not in entry["stream"]]
        told += [Scene(scene.case, f"~broken-{n}") for n in waits]
    return told


def _is_plain(case: Case) -> bool:
    """As configured by default: an exchange that keeps its conversation is none."""
    return case.json("exchange.json") is None or removes(case)


ACCOUNTS = ("one", "two", "three")
FINAL = {"invalid_request", "content_filtered", "context_too_long"}
SCENES = answered()
HELD = one_of_each_type(SCENES, "~hold")
CRUMBLED = one_of_each_type(SCENES, "~crumbs")
REFUSED = refused()
REFUSED_IN_STREAMS = refused_in_streams()
CHALLENGED = challenged()
WAITS = told_to_wait()


class Stage:
    """What the tests of this folder use."""

    def __init__(self, system: System, upstream: str) -> None:
        self.system = system
        self.upstream = upstream
        self.client = openai.OpenAI(base_url=f"{system.url}/v1", api_key=CLIENT_KEY, max_retries=0, timeout=20)

    def asked(self, scene: Scene) -> list[dict[str, Any]]:
        """The upstream's account of one case, oldest first."""
        account: list[dict[str, Any]] = httpx2.get(f"{self.upstream}/asked").json()
        return [entry for entry in account if entry["case"] == scene.case.name]

    def forget(self) -> None:
        httpx2.delete(f"{self.upstream}/asked")


class Ended:
    """The upstream saw every call of a case end in this way."""

    def __init__(self, stage: Stage, scene: Scene, outcome: str) -> None:
        self.stage, self.scene, self.outcome = stage, scene, outcome

    def __call__(self) -> bool:
        outcomes = [entry["outcome"] for entry in self.stage.asked(self.scene)]
        return self.outcome in outcomes and "running" not in outcomes


@pytest.fixture(scope="session")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("stage")
    (folder / "redis").mkdir()
    port = free_port()
    upstream = f"http://127.0.0.1:{port}"
    process = Process(
        [sys.executable, "-m", "tests.upstream.server", "--port", str(port)], ROOT, "upstream", log_folder=folder
    )
    redis = RedisServer(folder / "redis")
    scenes = {
        scene.name: scene for scene in [*SCENES, *HELD, *CRUMBLED, *REFUSED, *REFUSED_IN_STREAMS, *CHALLENGED, *WAITS]
    }
    once = {"retries": {"attempts": 1}, "queue_wait_s": 1}
    config = {
        "providers": [scene.entry(upstream) for scene in scenes.values()],
        "models": {f"once-{scene.name}": {"targets": [scene.model], **once} for scene in WAITS},
    }
    system = System(folder, config, redis)
    try:
        wait_until("upstream", Logged(process, "starts"), process)
        yield Stage(system.start(), upstream)
    finally:
        system.close()
        process.close()
        redis.close()


def request_of(scene: Scene, *, name: str = "", **changes: Any) -> Mapping[str, Any]:
    """The case's request as arguments of the SDK, which hands on what it does not know; `name` is asked for instead of
    the scene's own model.
    """
    body = {**scene.case.chat["request"], **changes}
    model = name or scene.model
    return {"model": model, "messages": body.pop("messages"), "extra_body": {**body, "model": model}}
