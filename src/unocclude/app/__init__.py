"""The page: a server on this machine where people click objects, complete them and export."""
