"""Any sub-command as a job on a Ray cluster."""
