"""`python -m megascience_ops` is the command `megascience`."""

import os
import sys

# pydantic would look for plugins of its own through everything that is installed: a tenth of a short stage's time
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")

from megascience_ops.cli import main  # noqa: E402

sys.exit(main())
