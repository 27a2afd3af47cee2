"""`python -m cynfer` and the command `cynfer`."""

import sys

from cynfer.commands import main

if __name__ == "__main__":
    sys.exit(main())
