"""Pages and charts from records."""
