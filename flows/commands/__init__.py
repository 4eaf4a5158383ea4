"""The commands of `likeness`, by what they are about."""
