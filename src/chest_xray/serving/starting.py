"""The start of the server from the settings of the project."""

import logging
import os
import signal
import socket
import sys
import tempfile
import threading
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from chest_xray.core.types import InputError
from chest_xray.models import shipping
from chest_xray.serving.options import LOOPBACK, Serving
from chest_xray.serving.page_contents import Background, Samples

logger = logging.getLogger(__name__)

SPLIT, TEST = "image_split", "test_images"
NETWORK, METRICS, PREDICTIONS = "augmented.packaged_keras", "augmented.metrics", "augmented.test_predictions"
SECONDS_TO_STOP = 2  # for requests in progress


class Project(NamedTuple):
    """What the server needs of the project."""

    options: Serving
    network: bytes | Path  # what `Predictor.load` takes
    background: Background


def read_environment(env: str | None, params: dict[str, Any]) -> Project:
    """Read settings and network of an environment; arguments as for `kedro run --env` and `--params` (nested).

    If the environment has no network, the network shipped with this package is used.

    Raises:
        InputError: There is no network, or a setting is invalid.
    """
    from kedro.framework.session import KedroSession

    created: Any = KedroSession.create(env=env, runtime_params=params)  # its type lacks the context manager
    with created as session:
        context = session.load_context()
        options = Serving.model_validate(context.params["serving"])
        if shipping.has_shipped_network() and not context.catalog.exists(NETWORK):
            logger.info("Network: %s of this package, since this environment has none of its own.", shipping.SHIPPED)
            data = None if context.params["report"].synthetic else context.catalog.get(TEST)._describe()["filepath"]
            return Project(options, shipping.SHIPPED, _describe_folder(shipping.SHIPPED, data))
        packaged = load_network(context.catalog, env)
        logger.info("Network: %s", context.catalog[NETWORK]._describe()["filepath"])
        return Project(options, packaged, _describe_environment(context))


def _describe_environment(context: Any) -> Background:
    catalog, params = context.catalog, context.params
    metrics = catalog.load(METRICS) if catalog.exists(METRICS) else None
    samples = Samples("none")
    if params["report"].synthetic:
        samples = Samples("phantoms")
    elif catalog.exists(SPLIT):
        samples = Samples.of_validation(catalog.load(SPLIT))
    return Background(params["data_source"], metrics, samples)


def _describe_folder(folder: Path, test_images: str | None) -> Background:
    settings = shipping.read_settings(folder)
    samples = Samples("phantoms") if settings.get("synthetic") else Samples.of_test(test_images)
    return Background(settings["data_source"], shipping.read_metrics(folder), samples)


def read_folder(folder: Path, changes: dict[str, Any], data_root: Path | None = None) -> Project:
    """Read the settings in a folder of `kedro ship`, with changes to `serving` where these are not None.

    `data_root` has the folder `test`, whose images the page offers as samples.

    Raises:
        InputError: The folder was not written by `kedro ship`, or a setting is invalid.
    """
    settings = shipping.read_settings(folder)
    options = settings["serving"] | {key: value for key, value in changes.items() if value is not None}
    background = _describe_folder(folder, None if data_root is None else str(data_root / "test"))
    return Project(Serving.model_validate(options), folder, background)


def read_here(changes: dict[str, Any], data_root: Path | None) -> Project:
    """Read the project in the current folder, with the arguments of `read_folder`."""
    from kedro.framework.startup import bootstrap_project

    bootstrap_project(Path.cwd())
    serving = {key: value for key, value in changes.items() if value is not None}
    return read_environment(None, {"serving": serving} | ({"data_root": str(data_root)} if data_root else {}))


def load_network(catalog: Any, env: str | None) -> bytes:
    """Return the packaged network of the project; `catalog` is that of the environment.

    Raises:
        InputError: The network has not been packaged yet.
    """
    if not catalog.exists(NETWORK):
        command = "kedro run --pipelines=export" + (f" --env={env}" if env else "")
        raise InputError(
            f"there is not a packaged network at {catalog.get(NETWORK)._describe()['filepath']}; expected what the "
            f"pipeline `export` leaves there. Run `{command}` first."
        )
    return catalog.load(NETWORK)


def start(project: Project, with_page: bool, browser: bool) -> None:
    """Run the server until the user stops it; `with_page` adds the page, and `browser` opens it.

    Raises:
        InputError: A library is missing, the address is in use, or the network cannot be loaded.
    """
    require_libraries(("fastapi", "uvicorn", "multipart", "pebble"))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # uvicorn re-raises the signal; exiting removes the folder
    with _listen(project.options) as listener, _private_folder():
        host, port = listener.getsockname()[:2]
        url = f"http://{f'[{host}]' if ':' in host else host}:{port}"
        if project.options.host not in LOOPBACK:
            logger.warning("Listening on %s: every machine that reaches this one can send images.", host)
        if browser:
            threading.Thread(target=webbrowser.open, args=(url,), daemon=True).start()
        logger.info("%s (stop with Ctrl+C)", f"Page: {url}/" if with_page else f"Server: {url}/docs")
        _run(project, with_page, listener)


def require_libraries(modules: tuple[str, ...]) -> None:
    """Check that modules are installed.

    Raises:
        InputError: A module is missing; the message has the command that installs it.
    """
    from importlib.util import find_spec

    missing = [name for name in modules if not find_spec(name)]
    if missing:
        raise InputError(
            f"{', '.join(missing)} not installed; expected the extra `serve`. Run `pip install -e '.[serve]'`, "
            "or without the project folder `pip install 'chest-xray[serve]'`."
        )


@contextmanager
def _private_folder() -> Iterator[None]:
    """Create temporary files in a folder that only this user can read, and remove it at the end."""
    previous = tempfile.tempdir
    with tempfile.TemporaryDirectory(prefix="chest-xray-") as folder:
        tempfile.tempdir = folder
        try:
            yield
        finally:
            tempfile.tempdir = previous


def _listen(options: Serving) -> socket.socket:
    family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
    try:
        return socket.create_server((options.host, options.port), family=family, backlog=1024)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else error
        raise InputError(
            f"cannot listen on {options.host}, port {options.port}: {reason}. "
            "Choose another with --port or --host; port 0 takes any that is free."
        ) from error


def configure(app: Any, options: Serving) -> Any:
    """Return the `uvicorn.Config` of an application from `create_app`."""
    import uvicorn

    from chest_xray.serving.guard import bound_connections

    return uvicorn.Config(
        app,
        http=bound_connections(options),
        h11_max_incomplete_event_size=options.max_header_bytes,
        timeout_graceful_shutdown=SECONDS_TO_STOP,
        log_config=None,
        access_log=False,
        ws="none",
    )


def _run(project: Project, with_page: bool, listener: socket.socket) -> None:
    import uvicorn

    from chest_xray.models.inference import Predictor
    from chest_xray.serving.app import create_app
    from chest_xray.serving.service import Service, start_decoders

    failures: list[Exception] = []

    def stop(error: Exception) -> None:
        failures.append(error)
        server.should_exit = True

    with start_decoders(project.options) as decoders:
        service = Service(partial(Predictor.load, project.network), project.options, stop, decoders)
        app = create_app(service, project.options)
        if with_page:
            from chest_xray.serving.page import add_page

            add_page(app, service, project.background)
        server = uvicorn.Server(configure(app, project.options))
        with suppress(KeyboardInterrupt):
            server.run(sockets=[listener])
    if failures:
        raise failures[0]
