"""Is one part of Airflow healthy, as the API server sees it? `python health.py scheduler`: exit code 0 or 1.

One request, so that a container can ask every few seconds: `airflow jobs check` takes seconds of the processor.
"""

import json
import os
import sys
import urllib.request

URL = os.environ.get("AIRFLOW_HEALTH_URL", "http://api-server:8080/api/v2/monitor/health")

with urllib.request.urlopen(URL, timeout=5) as response:
    part = json.load(response)[sys.argv[1]]
sys.exit(part["status"] != "healthy")
