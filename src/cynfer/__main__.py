"""`python -m cynfer` and the command `cynfer`."""

import sys


def main() -> int:
    """The exit code of the command line of this process."""
    try:
        from cynfer.commands import main as run
    except KeyboardInterrupt:  # before there is anything that could say so nicely
        return 130
    return run()


if __name__ == "__main__":
    sys.exit(main())
