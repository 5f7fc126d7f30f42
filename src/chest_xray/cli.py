"""Commands that this project adds to `kedro`: `kedro demo` for people, `kedro serve` for programs, `kedro ship`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from kedro.framework.cli.utils import env_option, split_string
from omegaconf import OmegaConf

from chest_xray.core.types import InputError
from chest_xray.serving.options import address_options, page_options

PARAMS_HELP = "Change parameters, as in `kedro run`: serving.max_upload_megabytes=100"


@click.group(name="chest-xray")
def cli() -> None:
    """Commands of this project."""


def parse_params(context: click.Context, option: click.Parameter, value: str) -> Any:
    """Parse `key=value,key.key=value` to nested values, as `kedro run --params` does."""
    pairs = [item.partition("=") for item in split_string(context, option, value)]
    for key, equals, setting in pairs:
        if not (key.strip() and equals):
            raise click.BadParameter(f"received {key + equals + setting!r}; expected key=value.")
    return OmegaConf.to_container(OmegaConf.from_dotlist([f"{key.strip()}={setting}" for key, _, setting in pairs]))


def project_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options that both servers have in a project."""
    params = click.option("--params", type=click.UNPROCESSED, default="", help=PARAMS_HELP, callback=parse_params)
    return env_option(address_options(params(command)))


@cli.command()
@project_options
def serve(env: str | None, params: dict[str, Any], **options: Any) -> None:
    """Classify images over HTTP; the interface is described at /openapi.json."""
    from chest_xray.serving.starting import read_environment, start

    start(read_environment(env, _merge_options(params, options)), with_page=False, browser=False)


@cli.command()
@project_options
@page_options
def demo(env: str | None, params: dict[str, Any], browser: bool, **options: Any) -> None:
    """Open a page on this machine where people can try their own images."""
    from chest_xray.serving.starting import read_environment, start

    start(read_environment(env, _merge_options(params, options)), with_page=True, browser=browser)


@cli.command()
@env_option
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder to fill; without it `shipped` in the package, which is part of the wheel.",
)
def ship(env: str | None, folder: Path | None) -> None:
    """Write the packaged network to a folder that `chest-xray` runs without TensorFlow."""
    from kedro.framework.session import KedroSession

    from chest_xray.core.provenance import describe_commit
    from chest_xray.models.shipping import SHIPPED, Results, write_folder
    from chest_xray.serving.starting import METRICS, PREDICTIONS, load_network

    created: Any = KedroSession.create(env=env)
    with created as session:
        context = session.load_context()
        params, catalog = context.params, context.catalog
        if params["report"].synthetic and folder is None:
            raise InputError(
                "received an environment of synthetic phantoms; expected radiographs for the network of the wheel. "
                "Name another folder with --folder."
            )
        packaged = load_network(catalog, env)
        evaluated = catalog.exists(METRICS) and catalog.exists(PREDICTIONS)
        results = Results(catalog.load(METRICS), catalog.load(PREDICTIONS)) if evaluated else None
        _require_one_origin(context)
        commit = describe_commit(context.project_path)
    origin = {
        "data_licence": params["report"].data_licence,
        "pretrained": params["model"].pretrained,
        "commit": "unknown" if commit is None else commit["commit"] + (" with changes" if commit["dirty"] else ""),
    }
    project = {name: params[name] for name in ("data_source", "serving")} | {"synthetic": params["report"].synthetic}
    folder = folder or SHIPPED
    write_folder(packaged, folder, project, results, origin)
    click.echo(f"Written: {folder}" + ("" if results else " (without metrics: run the pipeline `evaluation` for them)"))


def _require_one_origin(context: Any) -> None:
    """Refuse a network and metrics that were made from different trainings, as a run does for its inputs."""
    from chest_xray.core.provenance import Lineage
    from chest_xray.hooks.runs import list_pipelines
    from chest_xray.serving.starting import METRICS, NETWORK, PREDICTIONS

    makers = {output: name for name, pipeline in list_pipelines().items() for output in pipeline.all_outputs()}
    paths = {name: Path(context.catalog.get(name)._describe()["filepath"]) for name in (NETWORK, METRICS, PREDICTIONS)}
    data = Path(context.project_path, str(context.config_loader["globals"]["data_dir"]))
    read = {name: path for name, path in paths.items() if path.exists()}
    Lineage(data / "lineage.json").require_one_origin(read, {}, makers)


def _merge_options(params: dict[str, Any], options: dict[str, Any]) -> dict[str, Any]:
    """Merge the options that are set into the parameters of the server."""
    changes = {key: value for key, value in options.items() if value is not None}
    return {**params, "serving": {**params.get("serving", {}), **changes}} if changes else params
