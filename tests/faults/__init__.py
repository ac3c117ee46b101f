"""Real faults: what was acknowledged is not lost, not changed and not mixed up, and every fault ends within a bound."""
