"""Tools that judge coatcheck from outside: planted identifiers, a leak scanner, an IOD conformance comparison."""
