"""A guard's settings from a TOML file or the environment: read strictly, each mistake told by its place.

``settings`` reads both; ``sections`` says what each part may hold; ``reader`` holds a document against such a table.
What a guard does with its settings is ``guard.configuration``'s.
"""
