"""`python -m megascience_ops` is the command `megascience`."""

import os
import sys

# pydantic would look for plugins of its own through everything that is installed: a tenth of a short stage's time
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
# what Arrow takes by itself, it keeps: tens of megabytes for the six that the shards in work have of it at most
os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")

from megascience_ops.cli import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main())
