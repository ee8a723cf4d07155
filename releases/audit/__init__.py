"""Whether the record is what it was: the chain of events, checkpoints outside the database, and the kept bytes."""
