"""Print what micro-batching is worth: the same server asked by many clients at once and by one at a time.

    PYTHONPATH=src python benchmarks/serving.py data/demo/06_models/augmented/packaged.keras

The server is a process of its own, as `kedro serve` runs it; the clients are `--clients` tasks of this one, each with a
connection of its own. Images are phantoms (JPEG).
"""

import argparse
import asyncio
import io
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import numpy as np
from PIL import Image

from chest_xray.phantoms import draw_phantom

SETTINGS = Path(__file__).parents[1] / "conf/base/parameters_serving.yml"
SERVE = """
import sys
from chest_xray.serving.options import Serving
from chest_xray.serving.starting import Project, start
import yaml
options = Serving.model_validate({**yaml.safe_load(open(sys.argv[2]))["serving"], "port": int(sys.argv[3])})
start(Project(options, open(sys.argv[1], "rb").read(), ""), with_page=False, browser=False)
"""


def draw_images(num_images: int) -> list[bytes]:
    """Draw different phantoms, as JPEG."""
    rng = np.random.default_rng(2018)
    images = []
    for _ in range(num_images):
        buffer = io.BytesIO()
        Image.fromarray(draw_phantom(rng, rng.choice(["none", "bacterial", "viral"]))).save(buffer, "JPEG", quality=88)
        images.append(buffer.getvalue())
    return images


def read_memory(pid: int) -> float:
    """Give the resident memory of a process in MB (Linux)."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


@asynccontextmanager
async def running(network: Path, port: int) -> AsyncIterator[tuple[int, str]]:
    """Start a server, wait until it is ready, and stop it in the end; give its process and address."""
    server = subprocess.Popen([sys.executable, "-c", SERVE, str(network), str(SETTINGS), str(port)])
    url = f"http://127.0.0.1:{port}"
    try:
        async with httpx.AsyncClient(timeout=300) as client:
            while server.poll() is None:
                try:
                    if (await client.get(f"{url}/model")).status_code == 200:
                        break
                except httpx.TransportError:
                    await asyncio.sleep(0.2)
        yield server.pid, url
    finally:
        server.terminate()
        server.wait()


async def ask(url: str, images: list[bytes], num_requests: int, num_clients: int) -> tuple[float, Counter[int]]:
    """Send requests from a number of clients at once; give requests a second, and how often each status came."""
    statuses: Counter[int] = Counter()
    numbers = iter(range(num_requests))

    async def be_client() -> None:
        async with httpx.AsyncClient(timeout=300) as client:
            for number in numbers:
                files = {"file": ("image.jpeg", images[number % len(images)])}
                statuses[(await client.post(f"{url}/predict", files=files)).status_code] += 1

    began = time.perf_counter()
    await asyncio.gather(*(be_client() for _ in range(num_clients)))
    return num_requests / (time.perf_counter() - began), statuses


async def measure(arguments: argparse.Namespace) -> None:
    """Print throughput, failures and memory."""
    images = draw_images(64)
    async with running(arguments.network, arguments.port) as (pid, url):
        await ask(url, images, 200, arguments.clients)
        speeds: dict[int, list[float]] = {1: [], arguments.clients: []}
        for _ in range(arguments.rounds):
            for clients, found in speeds.items():
                found.append((await ask(url, images, arguments.each, clients))[0])
        for clients, found in speeds.items():
            each = ", ".join(f"{speed:.0f}" for speed in found)
            print(f"{clients} clients: {np.median(found):.0f} requests/s (of {each})")
        print(f"ratio: {np.median(speeds[arguments.clients]) / np.median(speeds[1]):.1f}")
        total: Counter[int] = Counter()
        for tenth in range(10):
            total += (await ask(url, images, arguments.requests // 10, arguments.clients))[1]
            print(
                f"after {(tenth + 1) * arguments.requests // 10:,} requests: {read_memory(pid):.0f} MB, {dict(total)}"
            )
    print(f"load on the machine: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network", type=Path)
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--each", type=int, default=300, help="requests in one round")
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--port", type=int, default=8765)
    asyncio.run(measure(parser.parse_args()))


if __name__ == "__main__":
    main()
