"""Images in memory: drawn textures, or any image folder."""
