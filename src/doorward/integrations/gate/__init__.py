"""What the adapters for services share: where a credential stands, what is stripped, what a refusal says."""
