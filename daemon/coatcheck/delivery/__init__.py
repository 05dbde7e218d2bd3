"""Where de-identified Studies go. A destination begins from a staged Study."""
