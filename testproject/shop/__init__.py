"""A small shop whose slow work happens in the background."""
