"""The Kermany set: its classes, and what the name of a file tells about the patient."""

import re

CLASSES = ("NORMAL", "PNEUMONIA")  # The label is the position: 0 healthy, 1 diseased.


def parse_name(path: str) -> dict[str, str]:
    """Parse patient and aetiology from a file name of the Kermany set.

    Bacterial and viral patients are numbered apart, and so are the two series of healthy ones; the group keeps them
    apart.

    Args:
        path: The path of an image; its last part is the name, the folder above it the class.

    Returns:
        `group`: such as "person12_virus" or "NORMAL2-IM-0012", or the name itself where it follows no known pattern, so
        that every such image is a patient of its own. `aetiology`: "bacterial", "viral", "none" for NORMAL, "unknown".
    """
    folder, name = path.split("/")[-2:]
    if diseased := re.match(r"(person\d+)_(bacteria|virus)_", name):
        return {
            "group": diseased[0].rstrip("_"),
            "aetiology": {"bacteria": "bacterial", "virus": "viral"}[diseased[2]],
        }
    healthy = re.match(r"(?:NORMAL2-)?IM-\d+", name)
    return {
        "group": healthy[0] if healthy else f"{folder}/{name}",
        "aetiology": "none" if folder.upper() == CLASSES[0] else "unknown",
    }
