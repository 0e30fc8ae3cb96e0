"""The bytes of files in a directory, handed out by signed addresses that a node serves."""
