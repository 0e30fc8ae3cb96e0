"""The wire protocol of chat4all, without I/O: frames, codes, codec and state rules."""
