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


def successors(type_name: str) -> dict[str, str]:
    """Old name -> the model that answers for it."""
    return dict(_SUCCESSORS.get(type_name, {}))


def current(draft: Draft, type_name: str, model: str, where: str) -> str:
    """`model`, or its successor with a note that says so."""
    found = _SUCCESSORS.get(type_name, {}).get(model, model)
    if found != model:
        draft.note(f"{where}: {model} is retired or renamed; {found} answers in its place")
    return found
