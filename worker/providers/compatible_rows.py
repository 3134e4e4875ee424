"""OpenAI-shaped upstreams as data: a new one is one row. `compatible_row.Row` says what a row can say.

Sources: each upstream's own API reference, and the types of its official package where there is one (together; and
groq, mistralai, cerebras-cloud-sdk, fireworks-ai and perplexityai, which the tests compare these rows with). Those in
China and servers on one's own machine are in files of their own.
"""

from typing import Final

from worker.faults import Fault
from worker.providers.compatible_row import OLD_FUNCTIONS, OPENAI_ONLY, Reasoning, Row
from worker.providers.contract import Capabilities

_METADATA: Final = "metadata prompt_cache_key prompt_cache_retention safety_identifier store user"
"""Harmless, so dropped without a word; named for upstreams that answer 400 to what they do not know."""
_NOT_WHILE_REASONING: Final = "logit_bias presence_penalty frequency_penalty stop"
ROWS: Final = (
    Row(
        type_name="openai",
        title="OpenAI",
        base_url="https://api.openai.com/v1",
        variable="OPENAI_API_KEY",
        key_page="platform.openai.com/api-keys; does not expire",
        developer_role=True,
        lacks="",
        custom_tools=True,
        codes={"unsupported_country_region_territory": Fault.PERMISSION_DENIED},
    ),
    Row(
        type_name="openai-compatible",
        title="Any OpenAI-compatible API",
        key_page="the upstream's own; may be left out where it asks for none",
        note="base_url is required.",
        key_required=False,
        lacks="",
        custom_tools=True,
    ),
    Row(
        # console.groq.com/docs/openai lists what is answered with 400; its models take reasoning back or answer 400.
        type_name="groq",
        title="Groq",
        base_url="https://api.groq.com/openai/v1",
        variable="GROQ_API_KEY",
        key_page="console.groq.com/keys",
        lacks=f"{OPENAI_ONLY} logprobs top_logprobs logit_bias n presence_penalty frequency_penalty metadata "
        "prompt_cache_key prompt_cache_retention safety_identifier store",
        members={
            "system": "content",
            "user": "content",
            "assistant": "content tool_calls function_call",
            "tool": "content tool_call_id",
        },
        reasoning_back={"openai/gpt-oss*": "reasoning", "qwen/qwen3*": "reasoning"},
        codes={"413 rate_limit_exceeded": Fault.CONTEXT_TOO_LONG, "flex_tier_capacity_exceeded": Fault.OVERLOADED},
    ),
    Row(
        # Unknown fields are answered with 422 extra_forbidden; usage comes in the last chunk without being asked for.
        # Service tiers have other names here.
        type_name="mistral",
        title="Mistral AI",
        base_url="https://api.mistral.ai/v1",
        variable="MISTRAL_API_KEY",
        key_page="console.mistral.ai/api-keys",
        stream_options=False,
        renames={"max_completion_tokens": "max_tokens", "seed": "random_seed"},
        lacks="audio modalities moderation prompt_cache_options verbosity web_search_options logit_bias service_tier "
        f"{OLD_FUNCTIONS} prompt_cache_retention safety_identifier store user",
        members={
            "system": "content",
            "user": "content",
            "assistant": "content tool_calls prefix",
            "tool": "content tool_call_id name",
        },
        reasoning_back={"*": "thinking"},
        codes={"1500": Fault.MODEL_NOT_FOUND, "invalid_model": Fault.MODEL_NOT_FOUND},
    ),
    Row(
        type_name="openrouter",
        title="OpenRouter",
        base_url="https://openrouter.ai/api/v1",
        variable="OPENROUTER_API_KEY",
        key_page="openrouter.ai/settings/keys",
        lacks=f"moderation {OLD_FUNCTIONS}",
        custom_tools=True,
        codes={
            "402": Fault.QUOTA_EXHAUSTED,
            "408": Fault.TIMED_OUT,
            "503": Fault.OVERLOADED,
            "provider_overloaded": Fault.OVERLOADED,
            "refusal": Fault.CONTENT_FILTERED,
            "string_too_long": Fault.CONTEXT_TOO_LONG,
        },
    ),
    Row(
        # Its log probabilities have another form than OpenAI's.
        type_name="together",
        title="Together AI",
        base_url="https://api.together.xyz/v1",
        variable="TOGETHER_API_KEY",
        key_page="api.together.ai/settings/api-keys",
        renames={"max_completion_tokens": "max_tokens"},
        lacks=f"{OPENAI_ONLY} {OLD_FUNCTIONS} logprobs top_logprobs parallel_tool_calls service_tier {_METADATA}",
        reasoning={"*": Reasoning("low medium high", off={"reasoning": {"enabled": False}})},
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
        type_name="fireworks",
        title="Fireworks AI",
        base_url="https://api.fireworks.ai/inference/v1",
        variable="FIREWORKS_API_KEY",
        key_page="app.fireworks.ai/settings/users/api-keys",
        lacks="audio modalities moderation prompt_cache_options verbosity web_search_options prompt_cache_retention "
        "safety_identifier store",
    ),
    Row(
        # Unknown fields and members are answered with 400 wrong_api_format.
        type_name="cerebras",
        title="Cerebras",
        base_url="https://api.cerebras.ai/v1",
        variable="CEREBRAS_API_KEY",
        key_page="cloud.cerebras.ai",
        lacks="audio modalities moderation prompt_cache_options verbosity web_search_options metadata "
        f"{OLD_FUNCTIONS} prompt_cache_retention safety_identifier store",
        members={"assistant": "content name tool_calls"},
        reasoning_back={"*": "reasoning"},
    ),
    Row(
        # Each model has a schema of its own, closed to what it does not know.
        type_name="nvidia",
        title="NVIDIA NIM",
        base_url="https://integrate.api.nvidia.com/v1",
        variable="NVIDIA_API_KEY",
        key_page="build.nvidia.com",
        renames={"max_completion_tokens": "max_tokens"},
        lacks=f"{OPENAI_ONLY} {OLD_FUNCTIONS} {_METADATA}",
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
        lacks="audio modalities moderation prediction verbosity web_search_options",
    ),
    Row(
        type_name="perplexity",
        title="Perplexity",
        base_url="https://api.perplexity.ai",
        variable="PERPLEXITY_API_KEY",
        key_page="perplexity.ai/account/api",
        note="Every answer searches the web; its citations stand beside the choices.",
        models=("sonar", "sonar-pro", "sonar-reasoning-pro", "sonar-deep-research"),
        stream_options=False,
        renames={"max_completion_tokens": "max_tokens"},
        lacks="audio modalities moderation prediction prompt_cache_options verbosity logit_bias seed service_tier "
        f"{OLD_FUNCTIONS} {_METADATA}",
        reasoning={"*": Reasoning("minimal low medium high")},
        capabilities=Capabilities(tools=False),
    ),
    Row(
        # docs.cohere.com/docs/compatibility-api, "Supported parameters" and "Unsupported parameters". `tool_choice` is
        # in neither list; the API behind it has REQUIRED and NONE (docs.cohere.com/reference/chat), none by name.
        type_name="cohere",
        title="Cohere",
        base_url="https://api.cohere.ai/compatibility/v1",
        variable="COHERE_API_KEY",
        key_page="dashboard.cohere.com/api-keys",
        models=("command-a-03-2025", "command-a-reasoning-08-2025", "command-a-vision-07-2025", "command-r7b-12-2024"),
        renames={"max_completion_tokens": "max_tokens"},
        lacks=f"{OPENAI_ONLY} {OLD_FUNCTIONS} logit_bias metadata n parallel_tool_calls service_tier store "
        "top_logprobs",
        tool_choices="none auto required",
        reasoning={"*": Reasoning("none high")},
    ),
    Row(
        type_name="nebius",
        title="Nebius Token Factory",
        base_url="https://api.tokenfactory.nebius.com/v1",
        variable="NEBIUS_API_KEY",
        key_page="tokenfactory.nebius.com",
    ),
    Row(
        type_name="novita",
        title="Novita AI",
        base_url="https://api.novita.ai/openai/v1",
        variable="NOVITA_API_KEY",
        key_page="novita.ai/settings/key-management",
    ),
    Row(
        type_name="sambanova",
        title="SambaNova",
        base_url="https://api.sambanova.ai/v1",
        variable="SAMBANOVA_API_KEY",
        key_page="cloud.sambanova.ai/apis",
    ),
)
