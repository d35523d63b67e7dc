"""The report of a run or of several: `page` writes it, one file here for each of its sections. No torch."""
