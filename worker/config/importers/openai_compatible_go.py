"""OpenAICompatible (Go): `config.json` or `config.local.json` with its lists of accounts."""

from collections.abc import Mapping
from typing import Any

from worker.config.importers.contract import Draft, Imported, Importer
from worker.config.importers.retired import successors
from worker.config.importers.source import Source

_DEFAULT_PORT = 8080
_TYPES = {"codegeex": "codegeex", "qwen": "qwen-web", "qwen_code": "qwen-code", "gemini_cli": "gemini-cli"}
_DEVICE_FIELDS = (
    "user_id",
    "user_role",
    "ide",
    "ide_version",
    "plugin_version",
    "machine_id",
    "talk_id",
    "locale",
)
_OAUTH_FIELDS = ("access_token", "refresh_token", "expiry", "resource_url")
_KNOWN = {
    "codegeex": ("token", "prefix", *_DEVICE_FIELDS),
    "qwen": ("token", "prefix"),
    "qwen_code": ("token", "prefix"),
    "gemini_cli": ("token", "prefix", "project_id"),
}
# The plain name of that project's own example, which it answered with 404.
_PLAIN = {"gpt-3.5-turbo": ("codegeex/codegeex4", "qwen/qwen-turbo", "qwen_code/coder-model", "gemini_cli/gemini-pro")}


def recognises(source: Source) -> bool:
    data = source.json
    return isinstance(data, dict) and any(isinstance(data.get(name), list) for name in _TYPES)


def convert(source: Source) -> Imported:
    data: Mapping[str, Any] = source.json
    draft = Draft(data.get("host") or "0.0.0.0", data.get("port") or _DEFAULT_PORT)  # noqa: S104  its own default
    if not data.get("port"):
        draft.note(f"port: was absent or 0, which meant any free one; {_DEFAULT_PORT} is used")
    draft.left_over(data, ("host", "port", "proxy", *_TYPES), "config.json")
    for name, type_name in _TYPES.items():
        accounts = data.get(name) or []
        if accounts:
            proxy = data.get("proxy") if name == "gemini_cli" else None
            draft.provider(
                name,
                type_name,
                _accounts(draft, name, accounts),
                proxy=proxy,
                model_map=successors(type_name),
                drop_params=True,
            )
            for old, new in successors(type_name).items():
                draft.note(f"{name}/{old}: answered by {new} today")
    _aliases(draft)
    draft.note("dangbei: was always on there and is not offered: it sends prompts to a third party's signing server")
    draft.note("a config.local.json beside it won over config.json there: import that one, which has the newest tokens")
    draft.note("the vendor paths that it forwarded and its open profiler are not offered")
    draft.more["routing"] = {"mode": "prefix", "strategy": "round-robin"}
    return draft.done()


def _accounts(draft: Draft, name: str, accounts: list[Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    prefixes: set[str] = set(_TYPES)
    for number, account in enumerate(accounts, start=1):
        where = f"{name}[{number}]"
        draft.left_over(account, _KNOWN[name], where)
        values = _values(draft, name, account, where)
        prefix = str(account.get("prefix") or "").strip("/")
        if prefix in prefixes and prefix not in _TYPES:
            draft.note(f"{where}: its prefix is that of an earlier account and was left out")
        found.append({"name": str(number), "prefix": prefix if prefix not in prefixes else None, **values})
        prefixes.add(prefix)
    return found


def _values(draft: Draft, name: str, account: Mapping[str, Any], where: str) -> dict[str, Any]:
    token = account.get("token")
    if not isinstance(token, dict):
        return {"token": token, **{key: account.get(key) for key in _DEVICE_FIELDS if key in account}}
    ignored = ("token_type", "expires_in")
    draft.left_over(token, (*_OAUTH_FIELDS, *ignored), f"{where}.token")
    draft.note(
        f"{where}: the token serves until it ends; to have it renewed, add client_id (and Google's client_secret) of "
        "the OAuth client that it was made with, or sign in again with `penstock login`"
    )
    values = {key: token.get(key) for key in _OAUTH_FIELDS}
    return values | ({"project_id": account.get("project_id")} if name == "gemini_cli" else {})


def _aliases(draft: Draft) -> None:
    names = {entry["name"] for entry in draft.providers}
    for plain, targets in _PLAIN.items():
        target = next((target for target in targets if target.partition("/")[0] in names), None)
        if target:
            draft.models[plain] = target
            draft.note(f"{plain}: its example's name, unknown there, is an alias of {target}")


IMPORTER = Importer("OpenAICompatible (Go)", recognises, convert)
