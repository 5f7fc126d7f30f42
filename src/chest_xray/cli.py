"""Commands that this project adds to `kedro`: `kedro demo` for people, `kedro serve` for programs."""

from collections.abc import Callable
from typing import Any

import click
from kedro.framework.cli.utils import env_option, split_string
from omegaconf import OmegaConf

PARAMS_HELP = "Change parameters, as in `kedro run`: serving.max_upload_megabytes=100"


@click.group(name="chest-xray")
def cli() -> None:
    """Commands of this project."""


def parse_params(context: click.Context, option: click.Parameter, value: str) -> Any:
    """Parse `key=value,key.key=value` to nested values, as `kedro run --params` does."""
    pairs = [item.partition("=") for item in split_string(context, option, value)]
    for key, equals, each in pairs:
        if not (key.strip() and equals):
            raise click.BadParameter(f"received {key + equals + each!r}; expected key=value.")
    return OmegaConf.to_container(OmegaConf.from_dotlist([f"{key.strip()}={each}" for key, _, each in pairs]))


def server_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options that both commands have."""
    for option in (
        click.option("--params", type=click.UNPROCESSED, default="", help=PARAMS_HELP, callback=parse_params),
        click.option("--port", type=int, help="Port to listen on; 0 takes any that is free."),
        click.option("--host", help="Address to listen on; without it only this machine can connect."),
        env_option,
    ):
        command = option(command)
    return command


@cli.command()
@server_options
def serve(env: str | None, params: dict[str, Any], **options: Any) -> None:
    """Classify images over HTTP; the interface is described at /openapi.json."""
    from chest_xray.serving.starting import read_project, start

    start(read_project(env, _merge(params, options)), with_page=False, browser=False)


@cli.command()
@server_options
@click.option("--language", type=click.Choice(["en", "ru"]), help="Language of the first view.")
@click.option("--browser/--no-browser", default=True, help="Open the page in the browser.")
def demo(env: str | None, params: dict[str, Any], browser: bool, **options: Any) -> None:
    """Open a page on this machine where people can try their own images."""
    from chest_xray.serving.starting import read_project, start

    start(read_project(env, _merge(params, options)), with_page=True, browser=browser)


def _merge(params: dict[str, Any], options: dict[str, Any]) -> dict[str, Any]:
    """Merge the options that are set into the parameters of the server."""
    changes = {key: value for key, value in options.items() if value is not None}
    return {**params, "serving": {**params.get("serving", {}), **changes}} if changes else params
