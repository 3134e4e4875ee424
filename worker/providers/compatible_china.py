"""OpenAI-shaped upstreams in China, as `compatible_rows`."""

from dataclasses import replace
from typing import Final

from worker.faults import Fault
from worker.providers.compatible_row import (
    ALWAYS,
    FLAG,
    NEVER,
    OLD_FUNCTIONS,
    OPENAI_ONLY,
    SWITCH,
    SWITCH_AND_EFFORT,
    Reasoning,
    Row,
)
from worker.providers.contract import Capabilities

_ARK: Final = Row(
    type_name="ark",
    title="Volcengine Ark (Doubao)",
    base_url="https://ark.cn-beijing.volces.com/api/v3",
    variable="ARK_API_KEY",
    key_page="console.volcengine.com/ark; a temporary key from GetApiKey expires",
    note="model is a model id or an endpoint id (ep-...).",
    lacks=f"{OPENAI_ONLY} {OLD_FUNCTIONS} seed",
    reasoning={"*": SWITCH_AND_EFFORT},
    codes={
        "AccountOverdueError": Fault.QUOTA_EXHAUSTED,
        "QuotaExceeded": Fault.QUOTA_EXHAUSTED,
        "SetLimitExceeded": Fault.QUOTA_EXHAUSTED,
        "AccessDenied": Fault.PERMISSION_DENIED,
        "ServerOverloaded": Fault.OVERLOADED,
        "ContentSecurityDetectionError": Fault.UPSTREAM_FAULT,
        "ModelNotOpen": Fault.MODEL_NOT_FOUND,
        "InvalidEndpointOrModel": Fault.MODEL_NOT_FOUND,
        "InvalidEndpoint": Fault.MODEL_NOT_FOUND,
    },
)

CHINESE_ROWS: Final = (
    Row(
        # What it does not know, other efforts too, it ignores. Sampling is fixed for everything after moonshot-v1.
        type_name="moonshot",
        title="Moonshot AI (Kimi)",
        base_url="https://api.moonshot.cn/v1",
        variable="MOONSHOT_API_KEY",
        key_page="platform.kimi.com; international keys need base_url https://api.moonshot.ai/v1",
        note="Without a limit of their own answers may end after 1,024 tokens: set defaults.",
        renames={"max_tokens": "max_completion_tokens"},
        lacks=f"{OPENAI_ONLY} {OLD_FUNCTIONS} logit_bias logprobs top_logprobs parallel_tool_calls seed service_tier",
        refuses={"kimi-k*": "temperature top_p n presence_penalty frequency_penalty"},
        reasoning={
            "kimi-k2.[56]*": SWITCH,
            "kimi-k2*": ALWAYS,
            "kimi-k*": Reasoning("low high max"),
            "*": NEVER,
        },
    ),
    Row(
        type_name="deepseek",
        title="DeepSeek",
        base_url="https://api.deepseek.com/v1",
        variable="DEEPSEEK_API_KEY",
        key_page="platform.deepseek.com/api_keys; does not expire",
        renames={"max_completion_tokens": "max_tokens"},
        lacks=f"{OPENAI_ONLY} {OLD_FUNCTIONS} logit_bias n parallel_tool_calls seed service_tier",
        reasoning={"*": SWITCH_AND_EFFORT},
        capabilities=Capabilities(images=False, json_schema=False),
    ),
    Row(
        type_name="siliconflow",
        title="SiliconFlow",
        base_url="https://api.siliconflow.cn/v1",
        variable="SILICONFLOW_API_KEY",
        key_page="cloud.siliconflow.cn/account/ak; international keys need base_url https://api.siliconflow.com/v1",
        renames={"max_completion_tokens": "max_tokens"},
        reasoning={"*": FLAG},
        codes={"30001": Fault.QUOTA_EXHAUSTED, "20012": Fault.MODEL_NOT_FOUND},
    ),
    _ARK,
    replace(
        _ARK,
        type_name="skylark",
        title="Volcengine Skylark",
        variable=None,
        key_page="an Ark API key from console.volcengine.com/ark; the old AK:SK pairs do not work",
        note="Its own API was shut down in November 2024: speaks to Ark, with Doubao models.",
    ),
    Row(
        type_name="stepfun",
        title="StepFun",
        base_url="https://api.stepfun.com/v1",
        variable="STEPFUN_API_KEY",
        key_page="platform.stepfun.com",
        reasoning={"*": Reasoning("low medium high")},
    ),
    Row(
        type_name="hunyuan",
        title="Tencent TokenHub (Hunyuan)",
        base_url="https://tokenhub.tencentmaas.com/v1",
        variable="TENCENT_TOKENHUB_API_KEY",
        key_page="console.cloud.tencent.com/tokenhub",
        reasoning={"*": Reasoning("low medium high", off={"thinking": {"type": "disabled"}})},
    ),
    Row(
        type_name="xiaomi",
        title="Xiaomi MiMo",
        base_url="https://api.xiaomimimo.com/v1",
        variable="XIAOMI_API_KEY",
        key_page="platform.xiaomimimo.com",
        reasoning={"*": SWITCH},
    ),
    Row(
        type_name="modelscope",
        title="ModelScope",
        base_url="https://api-inference.modelscope.cn/v1",
        variable="MODELSCOPE_API_KEY",
        key_page="modelscope.cn/my/myaccesstoken",
    ),
)
