"""From label tables to a store: planning, cropping, training sets."""
