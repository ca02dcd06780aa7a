"""What is stronger than a bearer token, as values: proofs of a key."""
