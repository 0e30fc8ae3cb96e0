"""Files beside messages: uploads, their check, who may have them, and when they go."""
