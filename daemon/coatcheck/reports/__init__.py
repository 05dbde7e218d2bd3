"""Reports for the people who answer for the data: what was done to a Study, and who asked the vault for what."""
