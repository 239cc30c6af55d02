"""The Curation page of Airflow's UI: what became of the rows of a run, read from storage."""
