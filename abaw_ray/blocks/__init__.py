"""The frame store: Arrow files with faces and labels, read by position. Nothing here needs Ray or torch."""
