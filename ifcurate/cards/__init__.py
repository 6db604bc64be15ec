"""Cards: what a mixture is, for those who receive it; and the upload to the Hub."""
