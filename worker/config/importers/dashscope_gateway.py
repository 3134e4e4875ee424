"""The DashScope to OpenAI gateway (farui-plus): its environment; callers bring their own DashScope keys."""

from worker.config.importers.contract import Draft, Imported, Importer
from worker.config.importers.source import Source

_MODELS = ("farui-plus", "qwen-plus", "qwen-max", "qwen-turbo")


def recognises(source: Source) -> bool:
    return "DASHSCOPE_BASE_URL" in source.env and source.yaml is None


def convert(source: Source) -> Imported:
    draft = Draft("0.0.0.0", 8000, cors_origins=["*"])  # noqa: S104  its own default
    draft.left_over(source.env, ("DASHSCOPE_BASE_URL",), "environment", "is not read by it")
    draft.provider(
        "dashscope",
        "dashscope",
        [],
        base_url=host_of(source.env["DASHSCOPE_BASE_URL"]),
        models=[*_MODELS, "*"],
        defaults={"temperature": 0.7, "top_p": 1.0, "max_tokens": 2000},
        drop_params=True,
        most_tokens={"farui-plus": 2000, "*": 4000},
    )
    draft.more["passthrough"] = {"provider": "dashscope"}
    draft.note("max_tokens is lowered to 2000 for farui-plus and to 4000 for others, as there: see most_tokens")
    draft.note("max_tokens: null means 2000 for all models, as if it were left out; it meant 4000 for others there")
    draft.note("histories of more than 20 messages are no longer cut")
    draft.note("empty messages of the assistant and repeated ones of the user are no longer taken out")
    draft.note("its video endpoints are not offered")
    return draft.done()


def host_of(address: str) -> str:
    """DASHSCOPE_BASE_URL had to end in /api/v1 for one of its versions and must not for another: either is accepted."""
    plain = address.rstrip("/")
    for ending in ("/api/v1", "/compatible-mode/v1"):
        plain = plain.removesuffix(ending)
    return plain


IMPORTER = Importer("the DashScope to OpenAI gateway", recognises, convert)
