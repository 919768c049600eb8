"""Many runs from one list, on this machine or a cluster. A row that fails does not affect the others."""
