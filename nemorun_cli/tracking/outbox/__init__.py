"""What is to be shipped to a server: markers for its sender, which is a process of its own."""
