"""From an inbox to Arrivals: a doorbell, a listing, and a wait until a file has stopped changing."""
