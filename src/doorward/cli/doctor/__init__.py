"""``doorward doctor``: one small function for each thing that can be wrong. They look, and change nothing."""
