"""Which loss goes to which rows."""
