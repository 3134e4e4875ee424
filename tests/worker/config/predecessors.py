"""The predecessors' sample files, read as a user's would be."""

from collections.abc import Callable
from pathlib import Path

from worker.config.importers import Imported, Source, recognise, render
from worker.config.loading import Loaded, parse
from worker.config.schema import Config

SAMPLES = Path(__file__).parent / "samples"
TITLES = {
    "dashscope-gateway.env": "the DashScope to OpenAI gateway",
    "go-oai-gateway.config.yaml": "Go OAI Gateway",
    "gptomni-2api.env": "gptomni-2api",
    "litellm.config.yaml": "LiteLLM",
    "one-api.channels.json": "one-api",
    "openai-compatible-go.config.json": "OpenAICompatible (Go)",
    "openai-style-api.model-config.json": "openai-style-api",
}
ENVIRON = {"AZURE_EU": "azure-secret", "ANTHROPIC_API_KEY": "anthropic-secret"}
# The samples' own client key is one that everybody knows.
MASTER = "gptomni-test-master-key"


def text_of(name: str) -> str:
    return (SAMPLES / name).read_text().replace("change-me-master-key", MASTER)


def imported(name: str, change: Callable[[str], str] = lambda text: text) -> Loaded:
    return parse(change(text_of(name)), ENVIRON, path=Path(name), generation=1)


def notes(loaded: Loaded) -> str:
    return "\n".join(loaded.warnings)


def targets(config: Config, route: str) -> list[tuple[str, int]]:
    return [(target.model, target.weight) for target in config.models[route].targets]


def converted(name: str, make_key: Callable[[], str] | None = None) -> tuple[str, Imported]:
    """As `penstock import` prints it."""
    source = Source(text_of(name))
    importer = recognise(source)
    assert importer is not None
    found = importer.read(source)
    return render(found, importer.title, make_key), found
