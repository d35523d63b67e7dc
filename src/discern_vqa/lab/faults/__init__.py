"""Faults of published programs that `data.imitate` brings back, a file each (`data.fault`, docs/metrics.md)."""
