"""Model ids that predecessors document and whose upstreams have retired: what answers in their place."""

from worker.config.importers.contract import Draft

_ZHIPU = "glm-4.5-flash"
_SUCCESSORS = {
    "zhipu": dict.fromkeys(("chatglm_lite", "chatglm_lite_32k", "chatglm_std", "chatglm_turbo"), _ZHIPU)
    | {"chatglm_pro": "glm-4.6"},
    "gemini": {"gemini-pro": "gemini-2.5-pro", "gemini-pro-vision": "gemini-2.5-pro"},
    "gemini-cli": {"gemini-pro": "gemini-2.5-pro"},
    "spark": {"v1.5": "lite", "v2.0": "generalv3", "v3.0": "generalv3", "v3.5": "generalv3.5"},
    "codegeex": {"codegeex4": "codegeex-4"},
    "qwen-web": {"qwen-turbo": "qwen3.5-flash", "qwen-plus": "qwen3.7-plus", "qwen-max": "qwen3.8-max"},
}

# ERNIE's old interface had models in its addresses, and one-api names of its own for them; any other is the new id in
# capitals.
_ERNIE = {
    "completions": "ernie-3.5-8k",
    "completions_pro": "ernie-4.0-8k",
    "completions_adv_pro": "ernie-4.0-8k-preview",
    "ernie_speed": "ernie-speed-8k",
    "eb-instant": "ernie-lite-8k",
    "ernie-4.0": "ernie-4.0-8k",
    "ernie-bot-4": "ernie-4.0-8k",
    "ernie-bot": "ernie-3.5-8k",
    "ernie-bot-8k": "ernie-3.5-8k",
    "ernie-bot-turbo": "ernie-lite-8k",
    "ernie-speed": "ernie-speed-8k",
}
_NO_ERNIE_NOW = ("ernie-func-8k", "ai_apaas", "bloomz", "llama_2", "qianfan-", "embedding", "bge-", "tao-")


def ernie(model: str) -> str | None:
    """Its id in Qianfan's interface V2, None where nothing answers in its place.

    Source: Baidu's page on moving from V1 to V2, cloud.baidu.com/doc/qianfan/s/rmse4vxp8.
    """
    name = model.lower()
    return None if name.startswith(_NO_ERNIE_NOW) else _ERNIE.get(name, name)


def successors(type_name: str) -> dict[str, str]:
    """Old name -> the model that answers for it."""
    return dict(_SUCCESSORS.get(type_name, {}))


def current(draft: Draft, type_name: str, model: str, where: str) -> str:
    """`model`, or its successor with a note that says so."""
    found = _SUCCESSORS.get(type_name, {}).get(model, model)
    if found != model:
        draft.note(f"{where}: {model} is retired or renamed; {found} answers in its place")
    return found
