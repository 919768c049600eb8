"""Many runs from one list. If a row fails or its process crashes, the other rows are not affected."""
