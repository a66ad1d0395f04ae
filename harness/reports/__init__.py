"""What people see of a run: the live view, and the report at its end. All of it is read from the history and the findings, never from the cluster."""
