"""What a provider can do wrong, or does in its own way, as tables of switches: lies, habits, imitations.

Every lie changes one thing. A habit is no lie: some real provider has it.
"""
