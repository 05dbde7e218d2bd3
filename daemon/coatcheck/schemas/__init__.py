"""JSON schemas (2020-12) of the configuration and of profiles, for editors that complete and explain."""
