"""``python -m madrpc``: the same as the command ``madrpc``.

Worker processes import the program's main module again, so this one stays as light as it can.
"""

import sys


def main() -> int:
    """Run the command line; return the exit status."""
    from madrpc.cli.main import run

    return run(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
