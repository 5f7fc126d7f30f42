"""`python -m chest_xray` is the command `chest-xray`; with options of `kedro run` first, it runs pipelines of the wheel.

`kedro package` writes the wheel and an archive of the configuration: `python -m chest_xray --conf-source=ARCHIVE
--pipelines=prediction --params images=PATH`.
"""

import sys

OWN = ("--help", "--version")  # options of the command `chest-xray`


def main() -> None:
    """Run the command that the arguments name."""
    if sys.argv[1:] and sys.argv[1].startswith("-") and sys.argv[1] not in OWN:
        from kedro.framework.cli.utils import find_run_command
        from kedro.framework.project import configure_project

        configure_project("chest_xray")
        find_run_command("chest_xray")()
    else:
        from chest_xray import command_line

        command_line.main()


if __name__ == "__main__":
    main()
