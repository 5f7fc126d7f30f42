"""What happens around the runs of Kedro: checks before the first node, and lock, lineage, record and log."""
