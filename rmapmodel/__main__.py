"""`python -m rmapmodel` is the command `rmapmodel`."""

import sys

from .cli import main

sys.exit(main())
