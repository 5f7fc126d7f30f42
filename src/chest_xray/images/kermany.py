"""The Kermany set: its classes, and the patient and aetiology in its file names."""

import re

CLASSES = ("NORMAL", "PNEUMONIA")  # The label is the position.


def parse_name(path: str) -> dict[str, str]:
    """Parse patient and aetiology from the path of an image, `.../<class>/<name>`.

    Returns:
        `group`: such as "person12_virus" or "NORMAL2-IM-0012", since bacterial and viral patients and the two series
        of NORMAL are numbered separately; "<class>/<name>" (a patient of its own) where the name follows no known
        pattern. `aetiology`: "bacterial", "viral", "none" for NORMAL, or "unknown".
    """
    folder, name = path.split("/")[-2:]
    if match := re.match(r"(person\d+_(bacteria|virus))_", name):
        return {"group": match[1], "aetiology": "bacterial" if match[2] == "bacteria" else "viral"}
    match = re.match(r"(?:NORMAL2-)?IM-\d+", name)
    aetiology = "none" if folder.upper() == CLASSES[0] else "unknown"
    return {"group": match[0] if match else f"{folder}/{name}", "aetiology": aetiology}
