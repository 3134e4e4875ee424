"""OpenAI's chat completion request as its published schema has it: types, ranges, what may be null.

Source: the CreateChatCompletionRequest schema of OpenAI's OpenAPI description and the parameter types of its Python
SDK. What only their prose asks for (name patterns, token limits of a model) is left to the upstream, and so is every
field that is not named here. TypedDicts rather than models: nothing of a request is kept but its head, and dicts
validate faster.
"""

from typing import Annotated, Any, Literal, Required

from pydantic import ConfigDict, Field, with_config
from typing_extensions import TypedDict

from shared.messages import Identified, Items, Message, Parts, TextPart

_INT64 = Field(ge=-(2**63), le=2**63 - 1)
Integer = Annotated[int, _INT64]
Penalty = Annotated[float, Field(ge=-2, le=2)]
Json = dict[str, Any]
_KNOWN_FIELDS = ConfigDict(extra="ignore", strict=True)


class Named(TypedDict):
    name: str


class DeprecatedFunction(TypedDict, total=False):
    name: Required[str]
    description: str
    parameters: Json


class FunctionDefinition(DeprecatedFunction, total=False):
    strict: bool | None


class FunctionTool(TypedDict):
    type: Literal["function"]
    function: FunctionDefinition


class Grammar(TypedDict):
    definition: str
    syntax: Literal["lark", "regex"]


class TextFormat(TypedDict):
    type: Literal["text"]


class GrammarFormat(TypedDict):
    type: Literal["grammar"]
    grammar: Grammar


class CustomDefinition(TypedDict, total=False):
    name: Required[str]
    description: str
    format: Annotated[TextFormat | GrammarFormat, Field(discriminator="type")]


class CustomTool(TypedDict):
    type: Literal["custom"]
    custom: CustomDefinition


Tool = Annotated[FunctionTool | CustomTool, Field(discriminator="type")]


class AllowedTools(TypedDict):
    mode: Literal["auto", "required"]
    tools: Items[Json]


class AllowedChoice(TypedDict):
    type: Literal["allowed_tools"]
    allowed_tools: AllowedTools


class FunctionChoice(TypedDict):
    type: Literal["function"]
    function: Named


class CustomChoice(TypedDict):
    type: Literal["custom"]
    custom: Named


ToolChoice = (
    Literal["none", "auto", "required"]
    | Annotated[AllowedChoice | FunctionChoice | CustomChoice, Field(discriminator="type")]
)


class JsonObjectFormat(TypedDict):
    type: Literal["json_object"]


class JsonSchema(TypedDict, total=False):
    name: Required[str]
    description: str
    schema: Json
    strict: bool | None


class JsonSchemaFormat(TypedDict):
    type: Literal["json_schema"]
    json_schema: JsonSchema


class StreamOptions(TypedDict, total=False):
    include_usage: bool
    include_obfuscation: bool


class AudioOutput(TypedDict):
    format: Literal["wav", "aac", "mp3", "flac", "opus", "pcm16"]
    voice: str | Identified


class Prediction(TypedDict):
    type: Literal["content"]
    content: str | Parts[TextPart]


class CacheOptions(TypedDict, total=False):
    mode: Literal["implicit", "explicit"]
    ttl: Literal["30m"]


class Place(TypedDict, total=False):
    city: str
    country: str
    region: str
    timezone: str


class UserLocation(TypedDict):
    type: Literal["approximate"]
    approximate: Place


class WebSearch(TypedDict, total=False):
    search_context_size: Literal["low", "medium", "high"]
    user_location: UserLocation | None


class ModerationRule(TypedDict):
    mode: Literal["score", "block"]


class ModerationPolicy(TypedDict, total=False):
    input: ModerationRule | None
    output: ModerationRule | None


class Moderation(TypedDict, total=False):
    model: Required[str]
    policy: ModerationPolicy | None


@with_config(_KNOWN_FIELDS)
class ChatRequest(TypedDict, total=False):
    """`model` may be left out where the caller's key has a default model."""

    messages: Required[Parts[Message]]
    model: str
    audio: AudioOutput | None
    frequency_penalty: Penalty | None
    function_call: Literal["none", "auto"] | Named
    functions: Annotated[list[DeprecatedFunction], Field(fail_fast=True, min_length=1, max_length=128)]
    logit_bias: dict[str, Integer] | None
    logprobs: bool | None
    max_completion_tokens: Integer | None
    max_tokens: Integer | None
    metadata: dict[str, str] | None
    modalities: Items[Literal["text", "audio", "image"]] | None  # "image": OpenRouter's and Google's word
    moderation: Moderation | None
    n: Annotated[int, Field(ge=1, le=128)] | None
    parallel_tool_calls: bool
    prediction: Prediction | None
    presence_penalty: Penalty | None
    prompt_cache_key: str | None
    prompt_cache_options: CacheOptions
    prompt_cache_retention: Literal["in_memory", "24h"] | None
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None
    response_format: Annotated[TextFormat | JsonObjectFormat | JsonSchemaFormat, Field(discriminator="type")]
    safety_identifier: str | None
    seed: Integer | None
    service_tier: Literal["auto", "default", "flex", "scale", "priority", "fast"] | None
    stop: str | Annotated[list[str], Field(fail_fast=True, min_length=1, max_length=4)] | None
    store: bool | None
    stream: bool | None
    stream_options: StreamOptions | None
    temperature: Annotated[float, Field(ge=0, le=2)] | None
    tool_choice: ToolChoice
    tools: Items[Tool]
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None
    top_p: Annotated[float, Field(ge=0, le=1)] | None
    user: str
    verbosity: Literal["low", "medium", "high"] | None
    web_search_options: WebSearch
