"""What became of a batch, for people who look: on the command line, in Airflow's UI, in a report."""
