"""What study and profile files may say."""
