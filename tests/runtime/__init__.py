"""The runtime: sessions, steps, streams, signals."""
