"""``doorward demo``: a sign-in, a call and six forgeries on this computer."""
