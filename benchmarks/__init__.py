"""Speed, memory and bytes, each beside a named baseline in the same run."""
