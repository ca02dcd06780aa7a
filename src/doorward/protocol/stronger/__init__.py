"""What is stronger than a bearer token, as values: proofs of a key, and a profile that demands them."""
