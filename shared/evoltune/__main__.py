"""`python -m evoltune` is the console script."""

import sys

from evoltune.cli import main

sys.exit(main())
