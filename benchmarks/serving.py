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

from chest_xray.images.phantoms import draw_phantom

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
async def running(network: Path, port: int) -> AsyncIterator[int]:
    """Start a server, wait until it is ready, and stop it in the end; give its process."""
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
        yield server.pid
    finally:
        server.terminate()
        server.wait()


def write_request(image: bytes) -> bytes:
    """Write a whole request in advance: a client library would take as much of the processor as the server does."""
    part = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n' + image + b"\r\n--x--\r\n"
    head = f"POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(part)}\r\n"
    return f"{head}Content-Type: multipart/form-data; boundary=x\r\n\r\n".encode() + part


async def ask(port: int, requests: list[bytes], num_requests: int, num_clients: int) -> tuple[float, Counter[int]]:
    """Send requests from a number of clients at once; give requests a second, and how often each status came."""
    statuses: Counter[int] = Counter()
    numbers = iter(range(num_requests))

    async def be_client() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for number in numbers:
            writer.write(requests[number % len(requests)])
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            await reader.readexactly(int(head.split("content-length: ")[1].split()[0]))
            statuses[int(head.split()[1])] += 1
        writer.close()

    began = time.perf_counter()
    await asyncio.gather(*(be_client() for _ in range(num_clients)))
    return num_requests / (time.perf_counter() - began), statuses


def read_seconds(pid: int) -> float:
    """Give the processor time that a process has taken (Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def measure(arguments: argparse.Namespace) -> None:
    """Print throughput, failures and memory."""
    requests = [write_request(image) for image in draw_images(64)]
    port = arguments.port
    async with running(arguments.network, port) as pid:
        await ask(port, requests, 200, arguments.clients)
        speeds: dict[int, list[float]] = {1: [], arguments.clients: []}
        for clients in list(speeds) * arguments.rounds:
            before = read_seconds(pid)
            speed, _ = await ask(port, requests, arguments.each, clients)
            spent = 1000 * (read_seconds(pid) - before) / arguments.each
            print(f"{clients} clients: {speed:.0f} requests/s, {spent:.1f} ms of the processor each")
            speeds[clients].append(speed)
        print(f"ratio: {np.median(speeds[arguments.clients]) / np.median(speeds[1]):.1f}")
        total: Counter[int] = Counter()
        for _ in range(10):
            total += (await ask(port, requests, arguments.requests // 10, arguments.clients))[1]
            print(f"after {sum(total.values()):,} requests: {read_memory(pid):.0f} MB, {dict(total)}")
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
