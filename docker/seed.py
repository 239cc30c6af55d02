"""What a first run needs on storage: the bucket, the sample textbooks, the sample benchmark. What is there stays.

Reads $MEGASCIENCE_ROOT and $MEGASCIENCE_TEXTBOOKS, both on s3://; the server and its keys as boto3 does.
"""

import os
import sys
from pathlib import Path

import boto3
from botocore.exceptions import ClientError

from megascience_ops.storage import Store

HERE = Path(__file__).parent


def main() -> None:
    """Make the bucket unless there is one, and put into it what is missing."""
    root, textbooks = os.environ["MEGASCIENCE_ROOT"], os.environ["MEGASCIENCE_TEXTBOOKS"]
    make_bucket(root.removeprefix("s3://").partition("/")[0])
    put(HERE / "textbooks", Store(textbooks), "")
    put(HERE / "benchmarks", Store(root), "benchmarks/")


def make_bucket(name: str) -> None:
    """A bucket of this name; nothing happens where it is ours already."""
    client = boto3.client("s3")
    try:
        client.head_bucket(Bucket=name)
    except ClientError as error:
        if error.response["Error"]["Code"] not in ("404", "NoSuchBucket"):
            sys.exit(f"error: bucket {name}: {error}")
        client.create_bucket(Bucket=name)
        sys.stdout.write(f"made bucket {name}\n")


def put(folder: Path, store: Store, prefix: str) -> None:
    """The files of a folder, under their names."""
    made = [file.name for file in sorted(folder.iterdir()) if store.create(prefix + file.name, file.read_bytes())]
    sys.stdout.write(f"{store.address(prefix)}: {len(made)} files put\n")


if __name__ == "__main__":
    main()
