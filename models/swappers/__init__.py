"""The swap families behind one interface."""
