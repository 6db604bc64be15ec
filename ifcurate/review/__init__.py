"""The report as an application on this machine: move the cut, set labels by hand."""
