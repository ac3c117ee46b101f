"""Real servers for the tests, started by them and gone with them."""
