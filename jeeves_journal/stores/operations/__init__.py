"""What is done to a journal as a whole, and not on the way of a run."""
