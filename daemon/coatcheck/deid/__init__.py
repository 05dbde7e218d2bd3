"""The transform: from an encoded Data Set to a de-identified one. No files, clock, randomness or database in here."""
