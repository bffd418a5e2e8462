"""What the adapters share: reading native files, tables of labels, videos and boxes."""
