"""The command line. The only place that wires everything."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Sequence

from embodied.core.errors import UserError, show_notices
from embodied.core.verb import Parser, parse
from harmony_dreamerv3 import __version__

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
INTERRUPTED = 130  # 128 and the number of SIGINT, as shells have it


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one verb.

    Args:
      argv: arguments without the program's name; None for those of the process.

    Returns:
      The exit status: 0, or 2 for wrong input, 130 after Ctrl-C, or what the verb says.
    """
    # For modules beside the run, such as a balancer of one's own; last, so that they hide nothing.
    if not {"", os.getcwd()} & set(sys.path):
        sys.path.append(os.getcwd())
    show_notices()
    try:
        from harmony_dreamerv3.verbs import VERBS

        parser = Parser(
            prog="harmony-dreamerv3",
            description="HarmonyDream on DreamerV3 in JAX: train, evaluate, compare.",
        )
        parser.add_argument("--version", action="version", version=__version__)
        args = parse(parser, VERBS, argv)
        return int(args.run(args))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # the reader of our output has gone, as in `... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        full = error.errno in FULL
        remedy = "free some space" if full else "check that path and who may use it"
        print(f"error: {error}; {remedy} and run it again", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
