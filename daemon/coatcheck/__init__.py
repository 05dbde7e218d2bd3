"""coatcheck: a cloakroom for DICOM studies."""

__version__ = "0.1.0"
