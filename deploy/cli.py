"""The command `penstock`."""

from typing import Final

import typer

from deploy.commands import accounts, check, convert, keys, login, providers, serve, trial, up

_HELP: Final = """An OpenAI-compatible gateway that queues.

`penstock up` starts everything on this machine; `penstock api` and `penstock worker` are its parts, for production.
"""
app = typer.Typer(
    help=_HELP,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,  # they would show variables, and so secrets
)
app.command("up")(up.up)
app.command("api")(serve.api)
app.command("worker")(serve.worker)
app.command("check")(check.check)
app.command("import")(convert.import_)
app.command("keys")(keys.keys)
app.command("providers")(providers.providers)
app.command("accounts")(accounts.accounts)
app.command("login")(login.login)
app.command("try")(trial.try_)


def main() -> None:
    """Runs the command of sys.argv and exits with its status."""
    app(prog_name="penstock")


if __name__ == "__main__":
    main()
