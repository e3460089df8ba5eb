"""`python -m airflow_operator` is the command line."""

from __future__ import annotations

import sys

from airflow_operator.cli import main

if __name__ == "__main__":
    sys.exit(main())
