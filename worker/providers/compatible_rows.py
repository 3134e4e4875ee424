"""OpenAI-shaped upstreams as data: a new one is one row. Quirks are named by the field that they concern.

`refuses`, `reasoning`: per model pattern, the first that matches counts.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from worker.faults import Fault
from worker.providers.contract import Capabilities


class Reasoning(Enum):
    """How an upstream is told how much to think."""

    EFFORT = "reasoning_effort, as OpenAI"
    SWITCH = 'thinking: {"type": "enabled" | "disabled"}'
    SWITCH_AND_EFFORT = "reasoning_effort, but thinking: disabled for none"
    FLAG = "enable_thinking: true | false"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """`base_url` None: the configuration must name it. `variable`: the usual environment variable of its key."""

    type_name: str
    title: str
    base_url: str | None = None
    variable: str | None = None
    key_page: str = ""
    note: str = ""
    key_required: bool = True
    developer_role: bool = False
    stream_options: bool = True
    renames: Mapping[str, str] = field(default_factory=dict)
    refuses: Mapping[str, str] = field(default_factory=dict)
    reasoning: Mapping[str, Reasoning] = field(default_factory=dict)
    codes: Mapping[str, Fault] = field(default_factory=dict)
    capabilities: Capabilities = field(default_factory=Capabilities)


_ARK_CODES: Final = {
    "AccountOverdueError": Fault.QUOTA_EXHAUSTED,
    "QuotaExceeded": Fault.QUOTA_EXHAUSTED,
    "AccessDenied": Fault.PERMISSION_DENIED,
    "ServerOverloaded": Fault.OVERLOADED,
    "ModelNotOpen": Fault.MODEL_NOT_FOUND,
    "InvalidEndpointOrModel.NotFound": Fault.MODEL_NOT_FOUND,
    "InvalidEndpoint.ClosedEndpoint": Fault.MODEL_NOT_FOUND,
}

_NOT_WHILE_REASONING: Final = "logit_bias presence_penalty frequency_penalty stop"

ROWS: Final = (
    Row(
        type_name="openai",
        title="OpenAI",
        base_url="https://api.openai.com/v1",
        variable="OPENAI_API_KEY",
        key_page="platform.openai.com/api-keys; does not expire",
        developer_role=True,
        codes={"unsupported_country_region_territory": Fault.PERMISSION_DENIED},
    ),
    Row(
        type_name="openai-compatible",
        title="Any OpenAI-compatible API",
        key_page="the upstream's own; may be left out where it asks for none",
        note="base_url is required.",
        key_required=False,
    ),
    Row(
        # Temperature, penalties and n are fixed by the platform for everything after moonshot-v1.
        type_name="moonshot",
        title="Moonshot AI (Kimi)",
        base_url="https://api.moonshot.cn/v1",
        variable="MOONSHOT_API_KEY",
        key_page="platform.kimi.com; international keys need base_url https://api.moonshot.ai/v1",
        renames={"max_tokens": "max_completion_tokens"},
        refuses={"kimi-k*": "temperature top_p n presence_penalty frequency_penalty"},
        reasoning={"kimi-k2.[56]*": Reasoning.SWITCH},
    ),
    Row(
        type_name="deepseek",
        title="DeepSeek",
        base_url="https://api.deepseek.com/v1",
        variable="DEEPSEEK_API_KEY",
        key_page="platform.deepseek.com/api_keys; does not expire",
        renames={"max_completion_tokens": "max_tokens"},
        reasoning={"*": Reasoning.SWITCH_AND_EFFORT},
        capabilities=Capabilities(images=False, json_schema=False),
    ),
    Row(
        # console.groq.com/docs/openai lists what is answered with 400.
        type_name="groq",
        title="Groq",
        base_url="https://api.groq.com/openai/v1",
        variable="GROQ_API_KEY",
        key_page="console.groq.com/keys",
        refuses={"*": "logprobs top_logprobs logit_bias n"},
        codes={"413 rate_limit_exceeded": Fault.CONTEXT_TOO_LONG, "flex_tier_capacity_exceeded": Fault.OVERLOADED},
    ),
    Row(
        # Unknown fields are answered with 422 extra_forbidden; usage comes in the last chunk without being asked for.
        type_name="mistral",
        title="Mistral AI",
        base_url="https://api.mistral.ai/v1",
        variable="MISTRAL_API_KEY",
        key_page="console.mistral.ai/api-keys",
        stream_options=False,
        renames={"max_completion_tokens": "max_tokens", "seed": "random_seed"},
        refuses={"*": "logprobs top_logprobs logit_bias user store service_tier"},
    ),
    Row(
        type_name="openrouter",
        title="OpenRouter",
        base_url="https://openrouter.ai/api/v1",
        variable="OPENROUTER_API_KEY",
        key_page="openrouter.ai/settings/keys",
        codes={"402": Fault.QUOTA_EXHAUSTED, "408": Fault.TIMED_OUT, "503": Fault.OVERLOADED},
    ),
    Row(
        type_name="together",
        title="Together AI",
        base_url="https://api.together.xyz/v1",
        variable="TOGETHER_API_KEY",
        key_page="api.together.ai/settings/api-keys",
        renames={"max_completion_tokens": "max_tokens"},
    ),
    Row(
        # docs.x.ai, "Reasoning": an error, even for 0; from the 4th generation on, penalties are one in any case.
        type_name="xai",
        title="xAI (Grok)",
        base_url="https://api.x.ai/v1",
        variable="XAI_API_KEY",
        key_page="console.x.ai",
        refuses={
            "grok-4*non-reasoning*": "logit_bias presence_penalty frequency_penalty",
            "grok-3-mini*": _NOT_WHILE_REASONING,
            "grok-3*": "logit_bias",
            "grok-2*": "logit_bias",
            "*": _NOT_WHILE_REASONING,
        },
    ),
    Row(
        type_name="siliconflow",
        title="SiliconFlow",
        base_url="https://api.siliconflow.cn/v1",
        variable="SILICONFLOW_API_KEY",
        key_page="cloud.siliconflow.cn/account/ak; international keys need base_url https://api.siliconflow.com/v1",
        renames={"max_completion_tokens": "max_tokens"},
        reasoning={"*": Reasoning.FLAG},
        codes={"30001": Fault.QUOTA_EXHAUSTED, "20012": Fault.MODEL_NOT_FOUND},
    ),
    Row(
        type_name="ark",
        title="Volcengine Ark (Doubao)",
        base_url="https://ark.cn-beijing.volces.com/api/v3",
        variable="ARK_API_KEY",
        key_page="console.volcengine.com/ark; a temporary key from GetApiKey expires",
        note="model is a model id or an endpoint id (ep-...).",
        codes=_ARK_CODES,
    ),
    Row(
        type_name="skylark",
        title="Volcengine Skylark",
        base_url="https://ark.cn-beijing.volces.com/api/v3",
        key_page="an Ark API key from console.volcengine.com/ark; the old AK:SK pairs do not work",
        note="Its own API was shut down in November 2024: speaks to Ark, with Doubao models.",
        codes=_ARK_CODES,
    ),
    Row(
        type_name="fireworks",
        title="Fireworks AI",
        base_url="https://api.fireworks.ai/inference/v1",
        variable="FIREWORKS_API_KEY",
        key_page="app.fireworks.ai/settings/users/api-keys",
    ),
    Row(
        type_name="cerebras",
        title="Cerebras",
        base_url="https://api.cerebras.ai/v1",
        variable="CEREBRAS_API_KEY",
        key_page="cloud.cerebras.ai",
    ),
    Row(
        type_name="nvidia",
        title="NVIDIA NIM",
        base_url="https://integrate.api.nvidia.com/v1",
        variable="NVIDIA_API_KEY",
        key_page="build.nvidia.com",
        renames={"max_completion_tokens": "max_tokens"},
    ),
    Row(
        type_name="huggingface",
        title="Hugging Face Inference Providers",
        base_url="https://router.huggingface.co/v1",
        variable="HF_TOKEN",
        key_page="huggingface.co/settings/tokens",
    ),
    Row(
        type_name="deepinfra",
        title="DeepInfra",
        base_url="https://api.deepinfra.com/v1/openai",
        variable="DEEPINFRA_API_KEY",
        key_page="deepinfra.com/dash/api_keys",
    ),
    Row(
        # What openai/openai.go of ollama/ollama does not read, it ignores without a word.
        type_name="ollama",
        title="Ollama",
        base_url="http://localhost:11434/v1",
        key_page="none: Ollama asks for no key",
        key_required=False,
        renames={"max_completion_tokens": "max_tokens"},
        refuses={"*": "logit_bias n"},
    ),
    Row(
        type_name="vllm",
        title="vLLM",
        base_url="http://localhost:8000/v1",
        key_page="what vLLM was started with (--api-key), if anything",
        key_required=False,
    ),
    Row(
        type_name="lm-studio",
        title="LM Studio",
        base_url="http://localhost:1234/v1",
        key_page="none: LM Studio asks for no key",
        key_required=False,
        renames={"max_completion_tokens": "max_tokens"},
    ),
    Row(
        type_name="llama-cpp",
        title="llama.cpp server",
        base_url="http://localhost:8080/v1",
        key_page="what llama-server was started with (--api-key), if anything",
        key_required=False,
    ),
)
