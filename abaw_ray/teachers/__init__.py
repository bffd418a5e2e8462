"""Teachers: whatever gives logits for the images of a step."""
