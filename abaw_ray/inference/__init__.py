"""What a trained network is used for: features of a store, submissions."""
