"""What we know of Airflow releases: facts as data, each with its source."""
