"""`python -m scores VERB ...`: the verbs without the agent."""

from __future__ import annotations

import argparse
import sys

from embodied.core.errors import UserError
from scores.verbs import register


def main(argv: list[str] | None = None) -> int:
    """Runs one verb; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m scores", description=__doc__)
    register(parser.add_subparsers(dest="verb", required=True, metavar="VERB"))
    args = parser.parse_args(argv)
    try:
        return args.run(args)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
