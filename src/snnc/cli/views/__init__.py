"""What the commands show to people."""
