"""`python -m chest_xray` is the command `chest-xray`."""

from chest_xray.command_line import main

if __name__ == "__main__":
    main()
