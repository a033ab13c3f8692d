"""``python -m halfopen`` is the command `halfopen`."""

import sys

from halfopen.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
