"""What can be tried on this computer alone: ``doorward demo``, and ``doorward issuer`` to develop against."""
