"""`python -m chest_xray` is the command `chest-xray`; with an option of `kedro run` first, it runs pipelines.

`kedro package` writes the wheel and an archive of the configuration: `python -m chest_xray --conf-source=ARCHIVE
--pipelines=prediction --params images=PATH`.
"""

import sys

OWN_OPTIONS = ("--help", "--version")  # options of the command `chest-xray`


def main() -> None:
    """Run the command that the arguments name."""
    if sys.argv[1:] and sys.argv[1].startswith("-") and sys.argv[1] not in OWN_OPTIONS:
        from kedro.framework.cli.project import run
        from kedro.framework.project import configure_project

        configure_project("chest_xray")
        run()
    else:
        from chest_xray.serving import command_line

        command_line.main()


if __name__ == "__main__":
    main()
