"""Imports the Kubernetes client once in the scheduler, where stages run in pods: the tasks it forks then have it.

Without this each task that starts a pod imports it anew, for about a CPU-second. Airflow runs this file in each of its
components; with executors that do not fork it does nothing.
"""

import os
import sys

if "scheduler" in sys.argv and os.environ.get("MEGASCIENCE_PODS"):
    import airflow.providers.cncf.kubernetes.operators.pod  # noqa: F401
