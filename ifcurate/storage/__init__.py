"""What is on disk: atomic files, tables and manifests."""
