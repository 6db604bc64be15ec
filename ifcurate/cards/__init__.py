"""Cards that describe a mixture to its users, and the upload to the Hub."""
