"""Programs that build what the package ships. They are not installed with it."""
