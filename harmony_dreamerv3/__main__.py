"""`python -m harmony_dreamerv3`, the same as the command `harmony-dreamerv3`."""

import sys

from harmony_dreamerv3.main import main

if __name__ == "__main__":
    sys.exit(main())
