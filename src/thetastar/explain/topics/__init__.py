"""One file a topic, found by its name; `show(arguments)` returns what is printed, drawn and counted."""
