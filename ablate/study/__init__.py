"""What is varied: study files, their expansion into trials, and what makes two trials the same."""
