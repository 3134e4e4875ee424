"""The command `penstock login`."""

import asyncio
import sys
from enum import StrEnum
from typing import Annotated

import typer

from deploy.commands.failures import told


class SignInService(StrEnum):
    GEMINI_CLI = "gemini-cli"
    QWEN_CODE = "qwen-code"


def login(
    service: Annotated[SignInService, typer.Argument(help="The provider type.")],
    client_id: Annotated[
        str, typer.Option(envvar="PENSTOCK_OAUTH_CLIENT_ID", help="Your OAuth client; Google: of type Desktop app.")
    ],
    client_secret: Annotated[str, typer.Option(envvar="PENSTOCK_OAUTH_CLIENT_SECRET", help="Of that client.")] = "",
    project: Annotated[str, typer.Option(help="gemini-cli: your Google Cloud project, where a licence needs it.")] = "",
    proxy: Annotated[str | None, typer.Option(help="http:// or https://, for these calls.")] = None,
    name: Annotated[str, typer.Option(help="What the account is called in penstock.yaml.")] = "mine",
) -> None:
    """Sign in to a provider and print the credential for penstock.yaml.

    The credential is secret. Workers renew its tokens by themselves; when that fails, the account becomes
    needs_renewal, and you sign in again. Both services are unofficial for third parties: read their terms.

    Example: penstock login qwen-code --client-id ID >> credentials.yaml
    """
    from deploy.sign_in import SignIn
    from worker.accounts.oauth import SERVICES, Client
    from worker.config.importers import render_data
    from worker.faults import UpstreamError
    from worker.providers.registry import providers

    code_assist_url = providers()[service.value].default_base_url if service is SignInService.GEMINI_CLI else None
    signing_in = SignIn(SERVICES[service.value], Client(client_id, client_secret), _tell, proxy=proxy)
    with told(UpstreamError):
        values = asyncio.run(signing_in.credential(project=project, code_assist_url=code_assist_url))
    sys.stdout.write(render_data({"credentials": [{"name": name, **values}]}))


def _tell(line: str) -> None:
    """On stderr, since stdout may be a file."""
    sys.stderr.write(f"{line}\n")
