"""Fuzzing: seeds, a mutator that knows how DICOM is encoded, targets with their oracles, and engines that run them."""
