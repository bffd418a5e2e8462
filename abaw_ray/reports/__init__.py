"""What people read of a run: its pages and its model card."""
