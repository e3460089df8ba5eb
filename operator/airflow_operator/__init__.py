"""Airflow Operator: Apache Airflow deployments kept in their declared state."""
