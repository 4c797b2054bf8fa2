"""What it means to load somebody's model, told before it is loaded."""
