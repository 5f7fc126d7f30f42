"""Licences of the locked dependencies, and their published vulnerabilities.

    python -m tests.dependencies audit       # needs an advisory database in reach
    python -m tests.dependencies licences    # writes docs/licences.md

Both use kept tools, which run in environments of their own (uv), so that the lock does not grow by their dependencies.
"""

import json
import re
import subprocess
import sys
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs/licences.md"
AUDIT, LICENCES = "pip-audit@2.10.1", "pip-licenses@5.5.5"
# From their licence files, because their metadata give none or a choice.
BY_HAND = {
    "cookiecutter": "BSD-3-Clause (from its LICENSE file)",
    "namex": "Apache-2.0 (from its LICENSE file)",
    "text-unidecode": "Artistic License (offered beside the GPL; this project takes the former)",
}
INTRODUCTION = """# Licences of the dependencies

Written by `make licences` from what is installed from `requirements.lock` on Linux; a test holds it against the lock.

All but two packages are under permissive licences (MIT, BSD, Apache, ISC, PSF and the like) or the file-level Mozilla
Public License. *Pebble* is under the LGPL: it is imported as it is published, which asks nothing of this project or of
those who use it beyond letting Pebble be replaced. *text-unidecode* comes under the Artistic License or the GPL, at
choice. No package is under the GPL or AGPL alone.

| package | version | licence |
|---|---|---|
"""


def read_lock() -> dict[str, str]:
    """Return name (normalised) and version of each locked package that applies to this platform."""
    lines = re.findall(r"^(\w[^\n\\]*)", (ROOT / "requirements.lock").read_text("utf-8"), re.MULTILINE)
    requirements = [Requirement(line.strip()) for line in lines]
    applying = [each for each in requirements if each.marker is None or each.marker.evaluate()]
    return {normalise(each.name): str(each.specifier).removeprefix("==") for each in applying}


def normalise(name: str) -> str:
    """Write the name of a package as package indices compare it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def describe_audit(report: Mapping[str, Any]) -> tuple[str, bool]:
    """Sum up what pip-audit found.

    Args:
        report: Its JSON output.

    Returns:
        Sentences, and whether every package was checked and none has a known vulnerability. pip-audit itself says "no
        known vulnerabilities" where the index knows nothing of any package.
    """
    packages = report["dependencies"]
    checked = [each for each in packages if "skip_reason" not in each]
    if not checked:
        return f"No advisory database is in reach: NONE of {len(packages)} packages was checked.", False
    found = [f"{each['name']} {each['version']}: {vuln['id']}" for each in checked for vuln in each["vulns"]]
    skipped = [each["name"] for each in packages if "skip_reason" in each]
    parts = [f"{len(checked)} of {len(packages)} packages were checked: {len(found)} known vulnerabilities.", *found]
    if skipped:
        parts.append(f"Not checked: {', '.join(skipped)}.")
    return "\n".join(parts), not found and not skipped


def audit() -> bool:
    """Print whether a locked package has a published vulnerability; return whether all were checked and none has."""
    options = ["--requirement", "requirements.lock", "--require-hashes", "--disable-pip", "--progress-spinner=off"]
    command = [f"{sys.prefix}/bin/uv", "tool", "run", "--quiet", AUDIT, *options, "--format=json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    try:
        text, sound = describe_audit(json.loads(done.stdout))
    except ValueError:
        text, sound = f"No advisory database is in reach: NOTHING was checked.\n{done.stderr[-300:]}", False
    print(text)  # noqa: T201
    return sound


def write_licences() -> None:
    """Write docs/licences.md."""
    command = [
        f"{sys.prefix}/bin/uv",
        "tool",
        "run",
        "--quiet",
        LICENCES,
        f"--python={sys.executable}",
        "--with-system",
        "--format=json",
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    found = {normalise(each["Name"]): each["License"] for each in json.loads(done.stdout)}
    rows = [f"| {name} | {version(name)} | {BY_HAND.get(name, found[name])} |" for name in sorted(read_lock())]
    PAGE.write_text(INTRODUCTION + "\n".join(rows) + "\n", "utf-8")


if __name__ == "__main__":
    if sys.argv[1:] == ["audit"]:
        sys.exit(0 if audit() else 1)
    write_licences()
