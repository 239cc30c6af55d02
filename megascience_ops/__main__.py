"""`python -m megascience_ops` is the command `megascience`."""

import sys

from megascience_ops.cli import main

sys.exit(main())
