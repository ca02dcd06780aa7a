"""The standards, one file each. Pure: values in, values out; no I/O, no clock, no randomness."""
