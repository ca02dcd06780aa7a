"""What is held on this computer about people: shown, forgotten, and taken over from other programs."""
