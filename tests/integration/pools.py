"""The configuration of test_accounts: a pool or a route for each of its tests."""

from typing import Any

from tests.system import CLIENT_KEY

RPM = 900
WIDE = ("failing", "long", "loyal")
RULED_KEY = "sk-test-of-a-key-with-rules-5e8a2f7c1d9b"


def entry(name: str, port: int, *accounts: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A provider of one model that is called like it, and `-other`; its keys are `<name>-a`, `<name>-b`."""
    named = [{"name": x, "api_key": f"{name}-{x}", **account} for x, account in zip("ab", accounts, strict=False)]
    base_url = f"http://127.0.0.1:{port}/v1"
    common = {"name": name, "type": "openai-compatible", "base_url": base_url, "models": [name, f"{name}-other"]}
    return {**common, "credentials": named, **more}


def configuration(port: int) -> dict[str, Any]:
    providers = [
        entry("turns", port, {"weight": 2}, {"weight": 1}),
        entry("failing", port, {}, {}),
        entry("limited", port, {}),
        entry("rejected", port, {}, {}),
        entry("dead", port, {}),
        entry("wrong", port, {}, {}),
        entry("long", port, {}, {}),
        entry("racing", port, {}, {}),
        *(entry(name, port, {"limits": {"tpm": 1500}}) for name in ("costly", "costly-stream")),
        entry("places", port, {"limits": {"concurrency": 2}}),
        entry("place", port, {"limits": {"concurrency": 1}}),
        entry("rate", port, {"limits": {"rpm": RPM}}),
        *(entry(name, port, {"limits": {"rpm": 1}}) for name in ("slow", "slower")),
        entry("foremost", port, {"limits": {"concurrency": 1}}),
        entry("shaped", port, {}, overrides={"temperature": 0.8}, drop_params=["seed"]),
        entry("pinned", port, {"prefix": "first"}, {"prefix": "second"}),
        entry("loyal", port, {}, {}),
        entry("own", port),
        *(entry(name, port, {}) for name in ("idle-x", "idle-y", "drawn-x", "drawn-y", "drawn-standby")),
    ]
    models = {
        "long-route": {"targets": ["long/long"], "fallbacks": ["long/long-other"]},
        "fast": {"strategy": "race", "race_delay_s": 0.1, "targets": ["racing", "racing-other"]},
        "dear": {"strategy": "race", "race_delay_s": 0.1, "targets": ["costly", "racing"]},
        "dear-stream": {"strategy": "race", "race_delay_s": 0.1, "targets": ["costly-stream", "racing"]},
        "wide": {
            "strategy": "race",
            "race_delay_s": 0,
            "targets": [f"{x}/{x}" for x in WIDE],
            "retries": {"attempts": 2},
        },
        "no-time": {"targets": ["costly"], "queue_wait_s": 1},
        "no-time-stream": {"targets": ["costly-stream"], "queue_wait_s": 1},
        "patient": {"targets": ["slower"], "queue_wait_s": 90},
        "in-order": {"strategy": "priority", "targets": ["foremost", "idle-y"]},
        "by-cause": {
            "targets": ["long/long"],
            "fallbacks": ["long/long-other"],
            "retries": {"fallback": ["content_filtered"]},
        },
        "impatient": {"targets": ["slow"], "queue_wait_s": 90},
        "talk": {"targets": ["loyal"], "affinity": {"prefix_messages": 1}},
        "idlest": {"strategy": "least-busy", "targets": [{"model": "idle-x", "weight": 2}, "idle-y"]},
        "drawn": {
            "strategy": "random",
            "targets": ["drawn-x", "drawn-y", {"model": "drawn-standby", "weight": 0}],
        },
        "ruled": {
            "targets": ["shaped"],
            "overrides": {"top_p": 0.3},
            "defaults": {"user": "of-the-route", "n": 1},
            "drop_params": ["logit_bias"],
        },
    }
    ruled_key = {
        "name": "ruled",
        "key": RULED_KEY,
        "queue_wait_s": 1,
        "overrides": {"temperature": 0.1, "presence_penalty": 1},
        "defaults": {"user": "of-the-key", "max_tokens": 9},
        "drop_params": ["stop"],
    }
    keys = [{"name": "test", "key": CLIENT_KEY}, ruled_key]
    return {"providers": providers, "models": models, "keys": keys, "passthrough": {"provider": "own"}}
