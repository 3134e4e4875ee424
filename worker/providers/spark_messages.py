"""OpenAI messages as Spark takes them. Source: xfyun.cn/doc/spark, pages Web and X1http."""

from worker.providers.contract import ChatCall, JsonObject
from worker.providers.transcript import dialogue, message_text


def socket_messages(chat: ChatCall, upstream: str, template: str | None) -> list[JsonObject]:
    """`payload.message.text`. `template` is for models that take no system message: it becomes a turn of its own."""
    talk = dialogue(chat, upstream)
    texts = [{"role": turn.role, "content": turn.text} for turn in talk.turns]
    if not talk.system:
        return texts
    if template is None:
        return [{"role": "system", "content": talk.system}, *texts]
    told = {"role": "user", "content": template.replace("{system}", talk.system)}
    return [told, {"role": "assistant", "content": "ok"}, *texts]


def http_messages(chat: ChatCall, upstream: str) -> list[JsonObject]:
    """OpenAI's messages with content as a string; tool calls and their results stay as they are."""
    messages: list[JsonObject] = []
    for index, message in enumerate(chat.body["messages"]):
        role = "system" if message["role"] == "developer" else message["role"]
        plain = {"role": role, "content": message.get("content")}
        text = message_text(plain | {"role": "user"}, index, upstream, drop=chat.settings.drop_params)
        messages.append({**message, "role": role, "content": text})
    return messages
