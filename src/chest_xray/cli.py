"""The commands that this project adds to `kedro`: `kedro demo` for people, `kedro serve` for programs."""

from collections.abc import Callable
from typing import Any

import click
from kedro.framework.cli.utils import _split_params, env_option

PARAMS_HELP = "Change parameters, as in `kedro run`: serving.max_upload_megabytes=100"


@click.group(name="chest-xray")
def cli() -> None:
    """Return `kedro` the commands below."""


def server_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add what both commands understand."""
    for option in (
        click.option("--params", type=click.UNPROCESSED, default="", help=PARAMS_HELP, callback=_split_params),
        click.option("--port", type=int, help="Port to listen on; 0 takes any that is free."),
        click.option("--host", help="Address to listen on; without it this machine alone can ask."),
        env_option,
    ):
        command = option(command)
    return command


@cli.command()
@server_options
def serve(env: str | None, params: dict[str, Any], **given: Any) -> None:
    """Answer for images over HTTP; what can be asked stands at /openapi.json."""
    from chest_xray.serving.starting import read_project, start

    start(read_project(env, _join(params, given)), with_page=False, browser=False)


@cli.command()
@server_options
@click.option("--language", type=click.Choice(["en", "ru"]), help="Language of the first view.")
@click.option("--browser/--no-browser", default=True, help="Open the page in the browser.")
def demo(env: str | None, params: dict[str, Any], browser: bool, **given: Any) -> None:
    """Open a page on this machine where people try their own image."""
    from chest_xray.serving.starting import read_project, start

    start(read_project(env, _join(params, given)), with_page=True, browser=browser)


def _join(params: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """Merge the options that were given into the parameters of the server."""
    told = {key: value for key, value in given.items() if value is not None}
    return {**params, "serving": {**params.get("serving", {}), **told}} if told else params
