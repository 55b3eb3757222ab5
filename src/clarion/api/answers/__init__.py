"""What we answer: the model's nouns with public ids and RFC 3339 times, and never a secret."""
