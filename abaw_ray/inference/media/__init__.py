"""What people look at: annotated videos and pictures, timelines, and pages, made from tables of answers.

Neither torch nor Ray is needed.
"""
