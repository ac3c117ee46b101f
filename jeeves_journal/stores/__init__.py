"""The stores: where records are kept."""
