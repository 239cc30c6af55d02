"""How Airflow runs the stages of megascience_ops: one operator per stage, on one runtime, told by the trigger form."""
