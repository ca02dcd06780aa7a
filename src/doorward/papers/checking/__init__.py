"""Whether a PDF is the paper that was asked for: what it says, and what is known of the article."""
