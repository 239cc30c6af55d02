"""Imports once, in the component that forks, what each of its children would import anew.

The DAG processor forks for every parse of a DAG file, which is then almost free; the scheduler forks for every task,
and where stages run in pods each would pay a CPU-second for the Kubernetes client. Airflow runs this file in each of
its components; with executors that do not fork it does nothing for tasks.
"""

import os
import sys

if "dag-processor" in sys.argv:
    import megascience_airflow.approval
    import megascience_airflow.assets
    import megascience_airflow.cadence
    import megascience_airflow.operators  # noqa: F401
if "scheduler" in sys.argv and os.environ.get("MEGASCIENCE_PODS"):
    import airflow.providers.cncf.kubernetes.operators.pod  # noqa: F401
