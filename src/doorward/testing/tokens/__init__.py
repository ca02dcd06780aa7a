"""Hostile tokens: some 200 that every guard must refuse, each with a name and a reason. ``hostile`` makes them."""
