"""What the stores promise beyond the contract: files, servers, lifetimes and damage."""
