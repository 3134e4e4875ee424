"""type -> provider, found by importing every module of this package: a new dialect is a new file and no other edit."""

import importlib
import pkgutil
from collections.abc import Mapping
from functools import cache
from types import MappingProxyType

import worker.providers
from worker.providers.contract import Provider


@cache
def providers() -> Mapping[str, Provider]:
    """All provider types in alphabetical order, from each module's `PROVIDERS`."""
    found: dict[str, Provider] = {}
    for module in pkgutil.iter_modules(worker.providers.__path__):
        for provider in getattr(importlib.import_module(f"worker.providers.{module.name}"), "PROVIDERS", ()):
            if provider.type_name in found:
                raise RuntimeError(f"two providers call themselves {provider.type_name!r}")
            found[provider.type_name] = provider
    return MappingProxyType(dict(sorted(found.items())))
