"""What the command line shows, one file an idea. Heavy imports wait until a command needs them."""
