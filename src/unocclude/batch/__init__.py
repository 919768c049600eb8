"""Many runs from one list; a row that fails, however it does, costs that row alone."""
