"""For experiments alone: faults of published programs, and parts that are only compared with. Nothing else imports
this room; recipes name what is in it."""
