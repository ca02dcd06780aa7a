"""How what comes from outside is read: JSON, answers over HTTP, members, challenges, URLs. Strictly, and by type."""
