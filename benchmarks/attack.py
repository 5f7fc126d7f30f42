"""Print how the server bears hostile uploads: mutated files, slow files among many clients, and SIGTERM meanwhile.

    PYTHONPATH=src python benchmarks/attack.py data/demo/06_models/augmented/packaged.keras

The server is a process of its own with the limits of conf/base/parameters_serving.yml, as `kedro serve` runs it. Files
are made from phantoms: JPEG (baseline and progressive), PNG and DICOM. One seed, so that every run sends the same.
"""

import argparse
import asyncio
import io
import json
import os
import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import psutil
from PIL import Image

import serving

SEED = 2018
GOOD = 62  # clients that send ordinary images
SLOW = 2  # clients that send the slowest file that is not refused by its header


def make_seeds() -> list[bytes]:
    """Make sound files of every kind that is read."""
    import pydicom
    from pydicom.data import get_testdata_file

    images = [Image.open(io.BytesIO(data)) for data in serving.draw_images(4)]
    files = []
    for image, (kind, options) in zip(
        images, [("JPEG", {}), ("JPEG", {"progressive": True}), ("PNG", {}), ("JPEG", {"quality": 30})], strict=True
    ):
        buffer = io.BytesIO()
        image.save(buffer, kind, **options)
        files.append(buffer.getvalue())
    for name in ("CT_small.dcm", "MR_small_RLE.dcm", "MR_small_jp2klossless.dcm"):
        buffer = io.BytesIO()
        pydicom.dcmread(get_testdata_file(name)).save_as(buffer, enforce_file_format=True)
        files.append(buffer.getvalue())
    return files


def mutate(data: bytes, rng: random.Random) -> bytes:
    """Damage a file in one of five ways, its header more often than the rest."""
    changed = bytearray(data)
    place = rng.randrange(min(len(data), 700) if rng.random() < 0.6 else len(data))
    kind = rng.choice(["flip", "cut", "double", "insert", "number"])
    if kind == "flip":
        for _ in range(rng.randint(1, 8)):
            changed[rng.randrange(place, min(place + 64, len(data)))] ^= 1 << rng.randrange(8)
    elif kind == "cut":
        del changed[place:]
    elif kind == "double":
        changed[place:place] = changed[place : place + rng.randint(1, 5000)]
    elif kind == "insert":
        changed[place:place] = rng.randbytes(rng.randint(1, 200))
    else:
        changed[place : place + 4] = rng.choice([b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x7f\xff\xff\xff"])
    return bytes(changed)


def make_slow() -> bytes:
    """Make a progressive JPEG as slow as the limits allow: 100 scans of as many pixels as that leaves room for."""
    side = 4400  # 100 scans of 19.4 megapixels: just below 2,000 megapixels in all
    buffer = io.BytesIO()
    Image.fromarray(np.tile(np.arange(side, dtype=np.uint8), (side, 1))).save(buffer, "JPEG", progressive=True)
    data = buffer.getvalue()
    last = data.rindex(b"\xff\xda")
    scan, scans = data[last:-2], data.count(b"\xff\xda")
    return data[:last] + scan * (101 - scans) + b"\xff\xd9"


@dataclass
class Seen:
    """What came back."""

    statuses: Counter[int] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    broken: int = 0
    reasons: Counter[str] = field(default_factory=Counter)

    def describe(self) -> str:
        """Describe counts and times in a line."""
        times = np.array(self.seconds or [np.nan])
        median, late = np.percentile(times, [50, 99])
        return (
            f"{len(self.seconds)} answers, {dict(self.statuses)}, {self.broken} connections broken; "
            f"seconds: median {median:.3f}, 99th percentile {late:.3f}, largest {times.max():.3f}"
        )


async def send(port: int, data: bytes, seen: Seen) -> None:
    """Send one file over a connection of its own, and note the answer."""
    began = time.perf_counter()
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(serving.write_request(data))
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        body = await reader.readexactly(int(head.split("content-length: ")[1].split()[0]))
        writer.close()
    except (OSError, asyncio.IncompleteReadError):
        seen.broken += 1
        return
    seen.seconds.append(time.perf_counter() - began)
    seen.statuses[int(head.split()[1])] += 1
    seen.reasons[str(json.loads(body).get("reason"))] += 1


def measure_memory(pid: int) -> float:
    """Sum the resident memory of the server and its processes in MB."""
    server = psutil.Process(pid)
    return sum(each.memory_info().rss for each in [server, *server.children(recursive=True)]) / 1e6


async def send_mutated(port: int, number: int) -> Seen:
    """Send damaged files from eight clients."""
    rng, seeds, seen = random.Random(SEED), make_seeds(), Seen()
    files = iter([mutate(rng.choice(seeds), rng) for _ in range(number)])

    async def be_client() -> None:
        for data in files:
            await send(port, data, seen)

    await asyncio.gather(*(be_client() for _ in range(8)))
    return seen


async def load(port: int, seconds: float, pause: Callable[[], float]) -> tuple[Seen, Seen]:
    """Send ordinary images from 62 clients and the slow file from two; return what each kind received."""
    good, slow, end = Seen(), Seen(), time.perf_counter() + seconds
    images, slow_file = serving.draw_images(64), make_slow()

    async def be_client(image: bytes | None) -> None:
        await asyncio.sleep(pause())
        while time.perf_counter() < end:
            await send(port, image or slow_file, good if image else slow)
            await asyncio.sleep(pause() if image else 0)

    clients = [be_client(image) for image in images[:GOOD]]
    await asyncio.gather(*clients, *(be_client(None) for _ in range(SLOW)))
    return good, slow


async def stop(server: Any, port: int) -> float:
    """Terminate the server while it decodes two slow files; return the seconds until it and its processes are gone."""
    children = psutil.Process(server).children(recursive=True)
    asking = [asyncio.create_task(send(port, make_slow(), Seen())) for _ in range(SLOW)]
    await asyncio.sleep(1.5)
    began = time.perf_counter()
    process = psutil.Process(server)
    process.terminate()
    while any(each.is_running() and each.status() != psutil.STATUS_ZOMBIE for each in [process, *children]):
        await asyncio.sleep(0.02)
    await asyncio.gather(*asking, return_exceptions=True)
    return time.perf_counter() - began


async def attack(arguments: argparse.Namespace) -> None:
    """Print what each attack came to."""
    rng = random.Random(SEED)
    async with serving.running(arguments.network, arguments.port) as pid:
        for data in serving.draw_images(64):
            await send(arguments.port, data, Seen())
        print(f"memory when warm: {measure_memory(pid):.0f} MB")
        mutated = await send_mutated(arguments.port, arguments.uploads)
        print(f"mutated uploads: {mutated.describe()}\n  reasons: {dict(mutated.reasons)}")
        pauses: list[tuple[str, Callable[[], float]]] = [("an image every 2 to 4 s each", lambda: rng.uniform(2, 4))]
        for name, pause in pauses + [("no pause", lambda: 0.0)] * arguments.rounds:
            good, slow = await load(arguments.port, arguments.seconds, pause)
            print(f"{GOOD} clients, {name}: {good.describe()}; {len(good.seconds) / arguments.seconds:.0f} a second")
            print(f"  beside them {SLOW} clients with slow files: {slow.describe()}")
            print(f"  memory afterwards: {measure_memory(pid):.0f} MB", flush=True)
        print(f"SIGTERM while two slow files are decoded: over after {await stop(pid, arguments.port):.1f} s")
    print(f"load on the machine: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores, these clients among it")


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network")
    parser.add_argument("--uploads", type=int, default=2000)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--rounds", type=int, default=3, help="of clients without a pause")
    parser.add_argument("--port", type=int, default=8766)
    asyncio.run(attack(parser.parse_args()))


if __name__ == "__main__":
    main()
