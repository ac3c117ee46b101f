"""What operators ask of the SQL stores, on both databases."""
