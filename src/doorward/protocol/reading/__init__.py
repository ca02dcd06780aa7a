"""How what comes from outside is read: JSON, answers over HTTP, their members, URLs. Strictly, and by type."""
