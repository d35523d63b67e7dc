"""`python -m discern_vqa` is the command `discern`."""

import sys

from discern_vqa.cli import main

if __name__ == "__main__":
    sys.exit(main())
