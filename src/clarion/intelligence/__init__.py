"""What Clarion works out about messages: pure, without input or output, below the journey that asks it."""
